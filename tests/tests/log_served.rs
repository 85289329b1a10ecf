//! The log over HTTPS, for anybody: `curl` mirrors it by the specification's paths alone, every verifier finds the mirror
//! intact, and nothing else is to be had there.

use anyhow::{Context, Result, ensure};
use sekimori_tests::{Database, Hospital, Input, Output, PATIENCE, Running, SealedLog, at, free_port, run};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn whoever_mirrors_the_log_verifies_it_without_the_gateway() -> Result<()> {
    let mut hospital = Hospital::open(Database::Sqlite)?;
    let sealed = SealedLog::of(&hospital)?;
    more_events_than_a_tile_holds(&hospital)?;
    hospital.gateway.act(&hospital.administrator, &["log", "rotate-key"])?;
    sealed.copy_keys()?;
    let ca = hospital.gateway.demo.console.ca_file.clone();
    let (reader, _serving) = Reader::of(&mut hospital, "", ca)?;

    let anchor = sealed.keep("anchor")?;
    let mirror = reader.mirror(&hospital.workstation.folder().join("mirror"))?;
    let copied = SealedLog { log: mirror.clone(), keys: sealed.keys.clone() };
    ensure!(copied.size()? > 256 && mirror.join("tile/0/000").is_file(), "the log has no full tile");
    let report = copied.is_intact(&hospital, &[&anchor])?;
    ensure!(at(&report, "/entries").as_u64() == Some(copied.size()?), "{report:#}");
    aics_tlog(&reader, &sealed.keys, &anchor)?;

    // A part is in the full one when it is full, and what no checkpoint covers is not there.
    for (path, status) in [
        ("/tile/0/000", "200"),
        ("/tile/0/000.p/7", "404"),
        ("/tile/entries/000.p/7", "404"),
        ("/tile/0/001.p/255", "404"),
        ("/tile/0/001", "404"),
        ("/tile/entries/x001/000", "404"),
        ("/tile/7/000", "404"),
        ("/rotation/1", "404"),
        ("/cosigned", "404"),
    ] {
        let answer = reader.asks(&[], path)?;
        ensure!(answer.status == status, "{path}: {answer:?}");
        ensure!(status == "200" || answer.header("cache-control") == "no-store", "{path}: {answer:?}");
    }

    let said = hospital.gateway.command(&["log", "status"], Input::Nothing)?.text();
    ensure!(said.contains(&format!("served      https://127.0.0.1:{}/checkpoint, to anybody", reader.port)), "{said}");
    let doctor = hospital.gateway.command(&["doctor"], Input::Nothing)?.text();
    let line = format!("OK    the log for anybody on 127.0.0.1:{}: is served", reader.port);
    ensure!(doctor.contains(&line), "{doctor}");
    let starts = hospital.events("gateway.start")?;
    let last = starts.last().context("no start")?;
    ensure!(at(last, "/detail/log_listen") == format!("127.0.0.1:{}", reader.port).as_str(), "{last}");
    Ok(())
}

#[test]
fn the_log_is_read_and_nothing_else_and_caches_are_told_the_truth() -> Result<()> {
    let mut hospital = Hospital::closed(Database::Sqlite)?;
    let said = hospital.gateway.command(&["log", "status"], Input::Nothing)?.text();
    ensure!(!said.contains("served"), "it is served although nobody asked for it: {said}");

    // A certificate of its own, beside the console's.
    let folder = hospital.gateway.demo.config.parent().context("no folder")?.to_owned();
    let (pem, key) = (folder.join("log.pem"), folder.join("log.key"));
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]);
    openssl.args(["-subj", "/CN=log", "-addext", "subjectAltName=IP:127.0.0.1"]);
    openssl.args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"]).arg(&key).arg("-out").arg(&pem);
    run(&mut openssl, Input::Nothing, PATIENCE)?.success()?;
    let (reader, _serving) = Reader::of(&mut hospital, "certificate = \"log.pem\"\nkey = \"log.key\"", pem)?;

    let size = reader.size()?;
    for (path, content_type, kept) in [
        ("/checkpoint".to_owned(), "text/plain; charset=utf-8", "public, max-age=1"),
        (format!("/tile/0/000.p/{size}"), "application/octet-stream", "public, max-age=31536000, immutable"),
        (format!("/tile/entries/000.p/{size}"), "application/octet-stream", "public, max-age=31536000, immutable"),
    ] {
        let answer = reader.asks(&[], &path)?;
        ensure!(answer.status == "200" && !answer.body.is_empty(), "{path}: {answer:?}");
        ensure!(answer.header("content-type") == content_type && answer.header("cache-control") == kept, "{answer:?}");
        // The same without the body, which says how long it would be.
        let head = reader.asks(&["--head"], &path)?;
        ensure!(head.status == "200" && head.header("content-type") == content_type, "{path}: {head:?}");
        let (length, told) = (answer.header("content-length"), head.header("content-length"));
        ensure!(!told.is_empty() && (path == "/checkpoint" || told == length), "{path}: {length} {told}");
    }

    for path in [
        "/",
        "/checkpoint/",
        "/checkpoint?",
        "//checkpoint",
        "/./checkpoint",
        "/log.keys",
        "/../log.keys",
        "/tile/../../log.keys",
        "/tile/entries/../../../sekimori.db",
        "/tile/0/..%2f..%2f..%2fkeys/master.key",
        "/%2e%2e/keys/master.key",
        "/rotation/../../keys/master.key",
        "/tile/0/../0/000",
        "/tile/0/0",
        "/tile/64/000",
        "/checkpoint%00",
        "/checkpoint.new",
    ] {
        let answer = reader.asks(&["--path-as-is"], path)?;
        ensure!(answer.status == "404" && answer.header("cache-control") == "no-store", "{path}: {answer:?}");
        ensure!(String::from_utf8_lossy(&answer.body).starts_with("no file of a log"), "{path}: {answer:?}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"] {
        let answer = reader.asks(&["-X", method, "--data", "x"], "/checkpoint")?;
        ensure!(answer.status == "405" && answer.header("allow") == "GET, HEAD", "{method}: {answer:?}");
    }
    let answer = reader.asks(&[], &format!("/tile/{}", "0".repeat(20 << 10)))?;
    ensure!(answer.status == "414" || answer.status == "431", "{answer:?}");
    let plain = run(
        Command::new("curl").args([
            "--silent",
            "--max-time",
            "20",
            &format!("http://127.0.0.1:{}/checkpoint", reader.port),
        ]),
        Input::Nothing,
        PATIENCE,
    )?;
    ensure!(plain.code != Some(0) && plain.stdout.is_empty(), "it answers without TLS: {plain:?}");
    Ok(())
}

/// Each file that goes through is an event, and so is each piece of the recording that is sealed.
fn more_events_than_a_tile_holds(hospital: &Hospital) -> Result<()> {
    let certificate = hospital.sign_in()?;
    let from = hospital.workstation.folder().join("many");
    fs::create_dir(&from)?;
    let mut batch = String::new();
    for number in 0..120 {
        let file = from.join(number.to_string());
        fs::write(&file, number.to_string())?;
        writeln!(batch, "put {} {}", file.display(), from.join(format!("there-{number}")).display())?;
    }
    let mut sftp = hospital.workstation.prepared("sftp", &hospital.user(), hospital.carried(&certificate))?;
    run(sftp.args(["-b", "-", "gate"]), Input::from(batch.as_str()), PATIENCE)?.success()?;
    let session = hospital.closed_session()?;
    hospital.sealed(&session.id)?;
    Ok(())
}

/// `aics-tlog`, where there is a Python for it, needs no mirror: it reads the log at its address.
fn aics_tlog(reader: &Reader, keys: &Path, anchor: &Path) -> Result<()> {
    let verifiers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/verifiers");
    if verifiers.join("no-aics-tlog").exists() {
        return Ok(());
    }
    let keys = fs::read_to_string(keys)?;
    let key = keys.lines().last().context("no key")?;
    let origin = key.split('+').next().unwrap_or_default();
    let entry = anchor.with_file_name("first.leaf");
    reader.first_entry(&entry)?;
    for (verb, more) in [
        ("verify-checkpoint", &[][..]),
        ("verify-consistency", &[Path::new("--old-checkpoint"), anchor]),
        ("verify-inclusion", &[Path::new("--leaf"), &entry, Path::new("--index"), Path::new("0")]),
    ] {
        let mut command = Command::new(verifiers.join("aics-tlog/bin/aics-tlog"));
        command.env("SSL_CERT_FILE", &reader.ca).args([verb, "--log-key", key, "--origin", origin]).args(more);
        run(command.args(["--tiles", &reader.url("")]), Input::Nothing, PATIENCE)?.success().context(verb)?;
    }
    Ok(())
}

/// Anybody with `curl`, who trusts one certificate.
struct Reader {
    port: u16,
    ca: PathBuf,
}

/// What `curl` was answered.
#[derive(Debug)]
struct Answer {
    status: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

impl Reader {
    /// Starts the gateway again with its log served.
    fn of(hospital: &mut Hospital, more: &str, ca: PathBuf) -> Result<(Self, Running)> {
        let port = free_port()?;
        hospital.gateway.kill()?;
        let config = &hospital.gateway.demo.config;
        let text = fs::read_to_string(config)?;
        fs::write(config, format!("{text}\n[log]\nlisten = \"127.0.0.1:{port}\"\n{more}\n"))?;
        let serving = hospital.gateway.serve_again()?;
        Ok((Self { port, ca }, serving))
    }

    fn url(&self, path: &str) -> String {
        format!("https://127.0.0.1:{}{path}", self.port)
    }

    fn curl(&self, more: &[&str], input: Input) -> Result<Output> {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--max-time", "20", "--cacert"]).arg(&self.ca).args(more);
        run(&mut curl, input, PATIENCE)
    }

    fn asks(&self, how: &[&str], path: &str) -> Result<Answer> {
        let url = self.url(path);
        let output = self.curl(&[&["--dump-header", "/dev/stderr"], how, &[url.as_str()]].concat(), Input::Nothing)?;
        ensure!(output.code == Some(0), "{path}: {output:?}");
        let mut lines = output.stderr.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).context("no status")?.to_owned();
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned())).collect();
        Ok(Answer { status, headers, body: output.stdout })
    }

    /// Fetches the first entry of the log into a file.
    fn first_entry(&self, file: &Path) -> Result<()> {
        let bundle = self.asks(&[], "/tile/entries/000")?.body;
        let (length, behind) = bundle.split_first_chunk::<2>().context("no entry")?;
        fs::write(file, behind.get(..u16::from_be_bytes(*length).into()).context("a bundle is cut short")?)?;
        Ok(())
    }

    /// The size that the checkpoint names.
    fn size(&self) -> Result<u64> {
        let text = String::from_utf8(self.asks(&[], "/checkpoint")?.body)?;
        Ok(text.lines().nth(1).context("no size")?.parse()?)
    }

    /// Fetches a state of the log into a folder: its checkpoint, and what the specification says has to be there then.
    fn mirror(&self, folder: &Path) -> Result<PathBuf> {
        self.fetch(folder, &["checkpoint".to_owned()])?;
        let size: u64 = fs::read_to_string(folder.join("checkpoint"))?.lines().nth(1).context("no size")?.parse()?;
        let mut paths = Vec::new();
        for level in 0..8 {
            let hashes = size >> (8 * level);
            paths.extend(numbered(hashes).map(|number| format!("tile/{level}/{number}")));
        }
        let bundles = numbered(size).map(|number| format!("tile/entries/{number}")).collect::<Vec<_>>();
        self.fetch(folder, &[paths, bundles.clone()].concat())?;
        // Ours: where a leaf introduces a key, the checkpoint that both keys signed.
        let mut index = 0;
        for bundle in bundles {
            let bytes = fs::read(folder.join(bundle))?;
            let mut rest = bytes.as_slice();
            while let Some((length, behind)) = rest.split_first_chunk::<2>() {
                let (entry, behind) =
                    behind.split_at_checked(u16::from_be_bytes(*length).into()).context("a bundle is cut short")?;
                (rest, index) = (behind, index + 1);
                if String::from_utf8_lossy(entry).contains("log.key-rotated") {
                    self.fetch(folder, &[format!("rotation/{index}")])?;
                }
            }
        }
        Ok(folder.to_owned())
    }

    /// All in one run of `curl`, each file to its place; one that is not there fails it.
    fn fetch(&self, folder: &Path, paths: &[String]) -> Result<()> {
        let mut wanted = String::new();
        for path in paths {
            let (url, file) = (self.url(&format!("/{path}")), folder.join(path));
            writeln!(wanted, "url = \"{url}\"\noutput = \"{}\"", file.display())?;
        }
        let how = ["--fail-early", "--fail", "--create-dirs", "--config", "-"];
        self.curl(&how, Input::from(wanted.as_str()))?.success()?;
        Ok(())
    }
}

/// The tiles or bundles of so many hashes or entries, fewer than 256,000.
fn numbered(count: u64) -> impl Iterator<Item = String> {
    (0..count.div_ceil(256)).map(move |index| match count - index * 256 {
        width if width < 256 => format!("{index:03}.p/{width}"),
        _ => format!("{index:03}"),
    })
}
