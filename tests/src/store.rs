//! An S3-compatible store of the test's own: moto's server, over TLS, which checks signatures and keeps object locks, and
//! AWS's own client to do there what somebody with its keys could.

use crate::peers::free_port;
use crate::process::{Input, Output, Running, run};
use crate::transcript::Transcript;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Questions that it takes before it asks who somebody is: those that make its one user.
const UNASKED: &str = "3";

/// A running store with one user, who may do all that a bucket's owner may.
#[derive(Debug)]
pub struct Store {
    /// Where it answers.
    pub endpoint: String,
    /// The certificate to believe.
    pub ca: PathBuf,
    /// The file with the user's pair of keys, as the gateway reads it.
    pub credentials: PathBuf,
    access: String,
    secret: String,
    log: Transcript,
    _server: Running,
}

impl Store {
    /// Starts one; its files lie in a folder.
    ///
    /// # Errors
    /// moto is not installed, or does not start.
    pub fn start(folder: &Path) -> Result<Self> {
        let (ca, key) = (folder.join("store.pem"), folder.join("store.key"));
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]);
        openssl.args(["-subj", "/CN=store", "-addext", "subjectAltName=IP:127.0.0.1"]);
        openssl.args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"]).arg(&key).arg("-out").arg(&ca);
        run(&mut openssl, Input::Nothing, crate::PATIENCE)?.success()?;
        let port = free_port()?;
        let mut moto = Command::new(program("moto_server")?);
        moto.args(["-H", "127.0.0.1", "-p", &port.to_string(), "-c"]).arg(&ca).arg("-k").arg(&key);
        moto.env("INITIAL_NO_AUTH_ACTION_COUNT", UNASKED).stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = moto.stderr(Stdio::piped()).spawn()?;
        let log = child.stderr.take().map(Transcript::of).context("no standard error")?;
        let server = Running::new(child);
        log.wait_for("Running on", crate::PATIENCE).context("moto does not start")?;
        let (endpoint, credentials) = (format!("https://127.0.0.1:{port}"), folder.join("store.keys"));
        let nobody = String::from("nobody");
        let mut store =
            Self { endpoint, ca, credentials, access: nobody.clone(), secret: nobody, log, _server: server };
        store.make_user()?;
        Ok(store)
    }

    fn make_user(&mut self) -> Result<()> {
        let allowed = json!({ "Effect": "Allow", "Action": "s3:*", "Resource": "*" });
        let policy = json!({ "Version": "2012-10-17", "Statement": [allowed] }).to_string();
        self.done("iam", "create_user", &json!({ "UserName": "gate" }))?;
        let policy = json!({ "UserName": "gate", "PolicyName": "all", "PolicyDocument": policy });
        self.done("iam", "put_user_policy", &policy)?;
        let made = self.done("iam", "create_access_key", &json!({ "UserName": "gate" }))?;
        let of = |key: &str| made.pointer(key).and_then(Value::as_str).map(str::to_owned).context("no key");
        self.access = of("/AccessKey/AccessKeyId")?;
        self.secret = of("/AccessKey/SecretAccessKey")?;
        self.write_credentials(&self.secret)
    }

    /// Writes the file of the user's keys, with that secret.
    ///
    /// # Errors
    /// The disk is full.
    pub fn write_credentials(&self, secret: &str) -> Result<()> {
        fs::write(&self.credentials, format!("access_key = \"{}\"\nsecret_key = \"{secret}\"\n", self.access))?;
        Ok(fs::set_permissions(&self.credentials, fs::Permissions::from_mode(0o600))?)
    }

    /// The user's secret.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// What a configuration says of it, after the head of its section.
    #[must_use]
    pub fn lines(&self, lock_days: u32) -> String {
        let (ca, credentials) = (self.ca.display(), self.credentials.display());
        format!(
            "endpoint = \"{}\"\nca = \"{ca}\"\ncredentials = \"{credentials}\"\nlock_days = {lock_days}\n",
            self.endpoint
        )
    }

    /// What it was asked, and answered.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// Asks as the user, with a method of boto3's client.
    ///
    /// # Errors
    /// It refuses, or does not answer.
    pub fn act(&self, method: &str, arguments: &Value) -> Result<Value> {
        self.done("s3", method, arguments)
    }

    /// Asks what it is expected to refuse: what it said.
    ///
    /// # Errors
    /// It does not.
    pub fn refused(&self, method: &str, arguments: &Value) -> Result<String> {
        let said = self.asked("s3", method, arguments)?;
        ensure!(said.code != Some(0), "it did not refuse {method}: {}", said.text());
        Ok(said.stderr)
    }

    /// The versions below a prefix, each with `Key` and `VersionId`.
    ///
    /// # Errors
    /// It does not answer.
    pub fn versions(&self, bucket: &str, prefix: &str) -> Result<Vec<Value>> {
        let listed = self.act("list_object_versions", &json!({ "Bucket": bucket, "Prefix": prefix }))?;
        ensure!(listed.pointer("/IsTruncated") == Some(&Value::Bool(false)), "more than a page: {listed}");
        Ok(listed.pointer("/Versions").and_then(Value::as_array).cloned().unwrap_or_default())
    }

    fn done(&self, service: &str, method: &str, arguments: &Value) -> Result<Value> {
        Ok(serde_json::from_str(&self.asked(service, method, arguments)?.success()?.text())?)
    }

    fn asked(&self, service: &str, method: &str, arguments: &Value) -> Result<Output> {
        let mut ask = Command::new(program("python")?);
        ask.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("store/ask.py")).arg(&self.endpoint).arg(&self.ca);
        ask.args([&self.access, &self.secret, service, method]).arg(arguments.to_string());
        run(&mut ask, Input::Nothing, crate::PATIENCE)
    }
}

fn program(name: &str) -> Result<PathBuf> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("target").join("store/bin").join(name);
    ensure!(program.is_file(), "the store is not installed: sh tests/setup.sh test");
    Ok(program)
}
