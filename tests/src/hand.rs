//! Debian's Chromium in the hand of a test: pages that stay open, are typed into and looked at while other things happen.

use crate::Codes;
use crate::chromium::driver;
use crate::gateway::DemoPerson;
use crate::hospital::Engineer;
use crate::process::Running;
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Stdio};
use std::rc::Rc;
use std::time::Duration;

/// A browser. Dropping it closes it.
#[derive(Debug)]
pub struct Hand {
    url: String,
    pipe: Rc<RefCell<Pipe>>,
}

#[derive(Debug)]
struct Pipe {
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    _node: Running,
}

/// A page of somebody who has signed in, in a browser of their own.
#[derive(Debug)]
pub struct Tab {
    pipe: Rc<RefCell<Pipe>>,
    number: Value,
}

impl Pipe {
    fn order(&mut self, order: &Value) -> Result<Value> {
        writeln!(self.orders, "{order}")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let answer: Value = serde_json::from_str(&line).with_context(|| format!("the browser said {line:?}"))?;
        if let Some(fault) = answer.get("fault") {
            bail!("{order}: {}", fault.as_str().unwrap_or_default());
        }
        Ok(answer.get("value").cloned().unwrap_or_default())
    }
}

impl Hand {
    /// Starts a browser for the console at `url`.
    ///
    /// # Errors
    /// Chromium or the npm packages are missing.
    pub fn start(url: &str) -> Result<Self> {
        let mut node = driver("hand.mjs")?;
        let mut node = node.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("node")?;
        let (orders, answers) = (node.stdin.take().context("no pipe")?, node.stdout.take().context("no pipe")?);
        let pipe = Pipe { orders, answers: BufReader::new(answers), _node: Running::new(node) };
        Ok(Self { url: url.to_owned(), pipe: Rc::new(RefCell::new(pipe)) })
    }

    /// Signs somebody of the demo in, on a screen of this size.
    ///
    /// # Errors
    /// It is refused.
    pub fn sign_in(&self, person: &DemoPerson, language: &str, size: (u32, u32)) -> Result<Tab> {
        let codes = Codes::new(person.totp_secret.as_deref().context("no secret")?);
        let password = person.password.as_deref().context("no password")?;
        self.enter(&person.id, password, &codes, language, size)
    }

    /// Signs an engineer in.
    ///
    /// # Errors
    /// It is refused.
    pub fn sign_in_engineer(&self, engineer: &Engineer, language: &str, size: (u32, u32)) -> Result<Tab> {
        self.enter(&engineer.id, &engineer.password, &engineer.codes, language, size)
    }

    fn enter(&self, id: &str, password: &str, codes: &Codes, language: &str, size: (u32, u32)) -> Result<Tab> {
        let number = self.pipe.borrow_mut().order(&json!({
            "do": "sign-in", "url": self.url, "id": id, "password": password, "code": codes.fresh()?,
            "language": language, "viewport": { "width": size.0, "height": size.1 },
        }))?;
        Ok(Tab { pipe: self.pipe.clone(), number })
    }
}

impl Tab {
    fn order(&self, act: &str, more: Value) -> Result<Value> {
        let mut order = more;
        if let Value::Object(fields) = &mut order {
            fields.insert("do".into(), json!(act));
            fields.insert("tab".into(), self.number.clone());
        }
        self.pipe.borrow_mut().order(&order)
    }

    /// Opens a page.
    ///
    /// # Errors
    /// It does not answer with 200.
    pub fn go(&self, path: &str) -> Result<()> {
        let status = self.order("go", json!({ "path": path }))?;
        ensure!(status == 200, "{path} answered {status}");
        Ok(())
    }

    /// What an expression is in the page.
    ///
    /// # Errors
    /// It fails there.
    pub fn eval(&self, js: &str) -> Result<Value> {
        self.order("eval", json!({ "js": js }))
    }

    /// Waits until an expression holds in the page.
    ///
    /// # Errors
    /// It does not within `limit`; the page's text is told.
    pub fn until(&self, js: &str, limit: Duration) -> Result<Value> {
        self.order("until", json!({ "js": js, "ms": limit.as_millis() as u64 }))
    }

    /// Waits until an element's text has these words in it.
    ///
    /// # Errors
    /// As [`Tab::until`].
    pub fn shows(&self, selector: &str, words: &str) -> Result<()> {
        let js = format!("document.querySelector({0})?.textContent.includes({1})", json!(selector), json!(words));
        self.until(&js, crate::PATIENCE).map(|_| ())
    }

    /// Types into a field.
    ///
    /// # Errors
    /// There is none.
    pub fn fill(&self, selector: &str, text: &str) -> Result<()> {
        self.order("fill", json!({ "selector": selector, "text": text })).map(|_| ())
    }

    /// Types on the keyboard, wherever the focus is.
    ///
    /// # Errors
    /// The page is gone.
    pub fn type_in(&self, text: &str) -> Result<()> {
        self.order("type", json!({ "text": text })).map(|_| ())
    }

    /// Clicks.
    ///
    /// # Errors
    /// There is nothing to click.
    pub fn click(&self, selector: &str) -> Result<()> {
        self.order("click", json!({ "selector": selector })).map(|_| ())
    }

    /// Clicks, and waits for the page that this leads to.
    ///
    /// # Errors
    /// There is nothing to click, or no page comes.
    pub fn submit(&self, selector: &str) -> Result<()> {
        self.order("submit", json!({ "selector": selector })).map(|_| ())
    }

    /// Presses a key.
    ///
    /// # Errors
    /// There is no such key.
    pub fn press(&self, key: &str) -> Result<()> {
        self.order("press", json!({ "key": key })).map(|_| ())
    }

    /// Makes the screen another size.
    ///
    /// # Errors
    /// The browser is gone.
    pub fn viewport(&self, width: u32, height: u32) -> Result<()> {
        self.order("viewport", json!({ "width": width, "height": height })).map(|_| ())
    }

    /// What is wrong with the page: what axe-core finds, what sticks out, what the browser complained of, dialogs.
    ///
    /// # Errors
    /// The browser is gone.
    pub fn faults(&self) -> Result<Vec<String>> {
        Ok(serde_json::from_value(self.order("faults", json!({}))?)?)
    }

    /// The paths that the page asked for since the last time.
    ///
    /// # Errors
    /// The browser is gone.
    pub fn asked(&self) -> Result<Vec<String>> {
        Ok(serde_json::from_value(self.order("asked", json!({}))?)?)
    }

    /// Takes a picture of the whole page.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn shot(&self, file: &Path) -> Result<()> {
        self.order("shot", json!({ "path": file })).map(|_| ())
    }
}
