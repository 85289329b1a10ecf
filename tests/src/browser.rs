//! A browser without a window: curl with a jar of cookies, which sends forms as browsers do.

use crate::gateway::{ConsoleDoor, DemoPerson};
use crate::process::{Input, run};
use crate::{Codes, PATIENCE};
use anyhow::{Context, Result, ensure};
use std::cell::RefCell;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// A browser with a memory.
#[derive(Debug)]
pub struct Browser {
    url: String,
    ca: PathBuf,
    folder: TempDir,
    /// What the last page's forms carry.
    token: RefCell<String>,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Page {
    /// The status; 0 where there was no answer.
    pub status: u16,
    /// Where it leads, without scheme and host.
    pub location: String,
    /// All headers as they came, in lower case.
    pub headers: String,
    /// The body.
    pub body: String,
    /// From the request to the last byte, without connecting.
    pub took: Duration,
}

impl Browser {
    /// A browser that trusts the console's authority and nobody else.
    ///
    /// # Errors
    /// There is no room for its folder.
    pub fn new(door: &ConsoleDoor) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("sekimori-browser-").tempdir()?;
        Ok(Self { url: door.url.clone(), ca: door.ca_file.clone(), folder, token: RefCell::default() })
    }

    /// Another browser that holds the same cookies and the same page: the other of two windows.
    ///
    /// # Errors
    /// There is no room for its folder.
    pub fn twin(&self) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("sekimori-browser-").tempdir()?;
        std::fs::copy(self.folder.path().join("jar"), folder.path().join("jar"))?;
        Ok(Self { url: self.url.clone(), ca: self.ca.clone(), folder, token: self.token.clone() })
    }

    /// The same browser with another authority's certificate.
    #[must_use]
    pub fn trusting(mut self, ca: PathBuf) -> Self {
        self.ca = ca;
        self
    }

    /// Where its cookies lie, as curl writes them.
    #[must_use]
    pub fn jar(&self) -> PathBuf {
        self.folder.path().join("jar")
    }

    /// Asks for a page.
    ///
    /// # Errors
    /// curl cannot be started, or hangs.
    pub fn get(&self, path: &str) -> Result<Page> {
        self.ask(path, &[], None)
    }

    /// Sends a form, as a page of the console would: with its token.
    ///
    /// # Errors
    /// As [`Browser::get`].
    pub fn send(&self, path: &str, fields: &[(&str, &str)]) -> Result<Page> {
        let token = self.token.borrow().clone();
        let fields = [fields, &[("token", token.as_str())]].concat();
        self.send_from(path, &self.url, &fields)
    }

    /// Sends a form as it is, as a page at `origin` would.
    ///
    /// # Errors
    /// As [`Browser::get`].
    pub fn send_from(&self, path: &str, origin: &str, fields: &[(&str, &str)]) -> Result<Page> {
        let origin = format!("Origin: {origin}");
        self.ask(path, &["-H", &origin, "--data-binary", "@-"], Some(encoded(fields)))
    }

    /// Sends a form of a page of the console with files under one field, as a browser would.
    ///
    /// # Errors
    /// As [`Browser::get`].
    pub fn bring(&self, path: &str, fields: &[(&str, &str)], field: &str, files: &[&Path]) -> Result<Page> {
        let origin = format!("Origin: {}", self.url);
        let token = format!("token={}", self.token.borrow());
        let mut options = vec!["-H".to_owned(), origin, "--form-string".to_owned(), token];
        for (name, value) in fields {
            options.extend(["--form-string".to_owned(), format!("{name}={value}")]);
        }
        for file in files {
            options.extend(["-F".to_owned(), format!("{field}=@\"{}\"", file.display())]);
        }
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        self.ask(path, &options, None)
    }

    /// Begins an answer that goes on, as a script of the console would, and leaves it unread; it ends with the value.
    ///
    /// # Errors
    /// curl cannot be started.
    pub fn begin(&self, path: &str) -> Result<std::process::Child> {
        let mut curl = Command::new("curl");
        curl.args(["-sSN", "--noproxy", "*", "--max-time", "150", "-H", "Accept: application/x-ndjson", "--cacert"]);
        curl.arg(&self.ca).arg("-b").arg(self.folder.path().join("jar")).arg(format!("{}{path}", self.url));
        curl.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("curl")
    }

    /// Signs in; further codes are `codes`' to give.
    ///
    /// # Errors
    /// It is refused.
    pub fn sign_in(&self, person: &str, password: &str, codes: &Codes) -> Result<()> {
        let code = codes.fresh()?;
        let page = self.send("/sign-in", &[("person", person), ("password", password), ("code", &code)])?;
        ensure!(page.status == 303 && !page.location.starts_with("/sign-in"), "{person} cannot sign in: {page:?}");
        // The token of the pages that follow.
        self.get("/account")?;
        Ok(())
    }

    /// Signs in somebody of the demo; returns what makes further codes.
    ///
    /// # Errors
    /// It is refused.
    pub fn sign_in_as(&self, person: &DemoPerson) -> Result<Codes> {
        let codes = Codes::new(person.totp_secret.as_deref().context("no secret")?);
        self.sign_in(&person.id, person.password.as_deref().context("no password")?, &codes)?;
        Ok(codes)
    }

    /// curl with more options, for what the other ways do not do.
    ///
    /// # Errors
    /// It cannot be started, or hangs.
    pub fn ask(&self, path: &str, options: &[&str], form: Option<String>) -> Result<Page> {
        let file = |name: &str| self.folder.path().join(name);
        // What an earlier answer left must not be taken for this one's.
        for name in ["headers", "body"] {
            std::fs::write(file(name), "")?;
        }
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--noproxy", "*", "--max-time", "150", "--cacert"]).arg(&self.ca);
        curl.arg("-b").arg(file("jar")).arg("-c").arg(file("jar"));
        curl.arg("-D")
            .arg(file("headers"))
            .arg("-o")
            .arg(file("body"))
            .args(["-w", "%{http_code} %{time_pretransfer} %{time_total}"]);
        curl.args(options).arg(format!("{}{path}", self.url));
        let input = form.map_or(Input::Nothing, |form| Input::Bytes(form.into_bytes()));
        let output = run(&mut curl, input, PATIENCE * 3)?;
        let headers = std::fs::read_to_string(file("headers"))?;
        let body = String::from_utf8_lossy(&std::fs::read(file("body"))?).into_owned();
        if let Some(token) = body.split("name=\"token\" value=\"").nth(1).and_then(|rest| rest.split('"').next()) {
            *self.token.borrow_mut() = token.to_owned();
        }
        let said = output.text();
        let said: Vec<&str> = said.split_whitespace().collect();
        let seconds = |at: usize| said.get(at).and_then(|text| text.parse::<f64>().ok()).unwrap_or_default();
        let location = headers.lines().find_map(|line| line.strip_prefix("location: ")).unwrap_or_default();
        Ok(Page {
            status: said.first().and_then(|status| status.parse().ok()).unwrap_or(0),
            took: Duration::from_secs_f64((seconds(2) - seconds(1)).max(0.0)),
            location: location.trim().to_owned(),
            headers: headers.to_lowercase(),
            body,
        })
    }
}

/// `application/x-www-form-urlencoded`.
fn encoded(fields: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (name, value) in fields {
        if !text.is_empty() {
            text.push('&');
        }
        for (part, end) in [(name, "="), (value, "")] {
            for byte in part.bytes() {
                if byte.is_ascii_alphanumeric() {
                    text.push(char::from(byte));
                } else {
                    // Writing to a text does not fail.
                    let _ = write!(text, "%{byte:02X}");
                }
            }
            text.push_str(end);
        }
    }
    text
}
