//! AWS Signature Version 4 in the headers of a request, as every S3-compatible store demands it (AWS, "Signature Calculations
//! for the Authorization Header: Transferring Payload in a Single Chunk"). The body is signed by its hash.

use crate::web::encoded;
use aws_lc_rs::hmac;
use chrono::{DateTime, Utc};
use sekimori_audit::hex;
use sekimori_audit::log::sha256;
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// A pair of keys of the store.
pub struct KeyPair {
    /// Its public half.
    pub access_key: String,
    /// What signs.
    pub secret_key: Zeroizing<String>,
}

/// What is signed of a request.
pub struct Signable<'a> {
    /// `GET`, `PUT`, …
    pub method: &'a str,
    /// The path, encoded.
    pub path: &'a str,
    /// The parts of the query, not encoded.
    pub query: &'a [(&'a str, &'a str)],
    /// Every header that is sent, by its name in small letters; `host` among them.
    pub headers: &'a BTreeMap<String, String>,
    /// The SHA-256 of the body, in hexadecimal.
    pub body: &'a str,
}

impl Signable<'_> {
    /// The header `Authorization`. `x-amz-date` must be among the headers, and of the same moment.
    #[must_use]
    pub fn signed(&self, keys: &KeyPair, region: &str, at: DateTime<Utc>) -> String {
        let names: Vec<&str> = self.headers.keys().map(String::as_str).collect();
        let names = names.join(";");
        let mut canonical = format!("{}\n{}\n{}\n", self.method, self.path, query(self.query));
        for (name, value) in self.headers {
            canonical += &format!("{name}:{}\n", value.trim());
        }
        canonical += &format!("\n{names}\n{}", self.body);
        let day = at.format("%Y%m%d").to_string();
        let scope = format!("{day}/{region}/s3/aws4_request");
        let text = format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{}", timestamp(at), sha256(canonical.as_bytes()).hex());
        let secret = Zeroizing::new(format!("AWS4{}", keys.secret_key.as_str()));
        let mut key = Zeroizing::new(secret.as_bytes().to_vec());
        for part in [&day, region, "s3", "aws4_request"] {
            key = Zeroizing::new(mac(&key, part).as_ref().to_vec());
        }
        let signature = hex::encode(mac(&key, &text).as_ref());
        format!("AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}", keys.access_key)
    }
}

/// A moment as the header `x-amz-date` has it.
#[must_use]
pub fn timestamp(at: DateTime<Utc>) -> String {
    at.format("%Y%m%dT%H%M%SZ").to_string()
}

/// A query in the order in which it is signed, and sent.
#[must_use]
pub fn query(parts: &[(&str, &str)]) -> String {
    let mut parts: Vec<String> =
        parts.iter().map(|(name, value)| format!("{}={}", encoded(name, false), encoded(value, false))).collect();
    parts.sort();
    parts.join("&")
}

fn mac(key: &[u8], text: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn signature(method: &str, path: &str, query: &[(&str, &str)], headers: &[(&str, &str)], body: &str) -> String {
        let keys = KeyPair {
            access_key: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret_key: Zeroizing::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned()),
        };
        let common = [("host", "examplebucket.s3.amazonaws.com"), ("x-amz-date", "20130524T000000Z")];
        let headers = common.iter().chain(headers).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut headers: BTreeMap<String, String> = headers.collect();
        headers.insert("x-amz-content-sha256".to_owned(), body.to_owned());
        let at = DateTime::parse_from_rfc3339("2013-05-24T00:00:00Z").unwrap().to_utc();
        let signed = Signable { method, path, query, headers: &headers, body }.signed(&keys, "us-east-1", at);
        signed.rsplit_once("Signature=").unwrap().1.to_owned()
    }

    /// The examples that AWS publishes with the algorithm.
    #[test]
    fn it_is_the_signature_that_aws_publishes() {
        let empty = sha256(b"").hex();
        let found = signature("GET", "/test.txt", &[], &[("range", "bytes=0-9")], &empty);
        assert_eq!(found, "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
        let found = signature("GET", "/", &[("max-keys", "2"), ("prefix", "J")], &[], &empty);
        assert_eq!(found, "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
        let found = signature("GET", "/", &[("lifecycle", "")], &[], &empty);
        assert_eq!(found, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
        let headers = [("date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")];
        let found =
            signature("PUT", &encoded("/test$file.text", true), &[], &headers, &sha256(b"Welcome to Amazon S3.").hex());
        assert_eq!(found, "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
    }
}
