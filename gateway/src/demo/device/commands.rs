//! What a typed line means on this device: pure, so that shell and exec agree and tests need no socket.

use super::files::{self, FileTree};
use super::{Kind, Personality, texts};
use chrono::{DateTime, Utc};
use std::time::Duration;

/// The longest `sleep`, in seconds.
const LONGEST_SLEEP: f64 = 24.0 * 3600.0;
/// The exit status of a shell for a command that does not exist.
const NOT_FOUND: u32 = 127;

/// What a command may look at.
pub struct Surroundings<'a> {
    /// The device.
    pub personality: &'a Personality,
    /// Its files.
    pub files: &'a FileTree,
    /// Since when it runs.
    pub booted: DateTime<Utc>,
    /// Who is signed in.
    pub account: &'a str,
    /// The current folder.
    pub folder: &'a str,
    /// The time.
    pub now: DateTime<Utc>,
}

/// What is to be done for a line.
#[derive(Debug, PartialEq)]
pub enum Command {
    /// Say this, and end with this status.
    Answer {
        /// For stdout.
        out: String,
        /// For stderr.
        error: String,
        /// The exit status.
        status: u32,
    },
    /// Leave, with this status or that of the last command.
    Exit(Option<u32>),
    /// Go to this folder, an absolute path that exists.
    ChangeFolder(String),
    /// Show these files, absolute paths, one after the other.
    Show(Vec<String>),
    /// Copy stdin to stdout.
    Echo,
    /// Count the bytes of stdin.
    Count,
    /// Write this many zero bytes.
    Zeros(u64),
    /// Wait.
    Sleep(Duration),
    /// Check the device, with a progress bar.
    SelfTest,
    /// Watch the device until `q`.
    Monitor,
    /// Ask for a new password.
    Passwd,
}

/// What `line` asks for. A line that is no command is answered with an error and its status.
pub fn interpret(line: &str, around: &Surroundings<'_>) -> Command {
    let words = match words(line) {
        Ok(words) => words,
        Err(fault) => return refuse(fault, 2),
    };
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let Some((name, arguments)) = words.split_first() else { return say(String::new()) };
    device_command(&words, around)
        .or_else(|| streaming_command(name, arguments, around))
        .or_else(|| shell_command(name, arguments, around))
        .unwrap_or_else(|| unknown(name))
}

/// The commands of the device itself.
fn device_command(words: &[&str], around: &Surroundings<'_>) -> Option<Command> {
    let personality = around.personality;
    let kind = personality.kind;
    Some(match words {
        ["help" | "?"] => say(texts::help(kind)),
        ["status"] => say(status(around)),
        ["log"] => say(texts::log(kind, around.booted, |_| true)),
        ["errors"] => say(texts::log(kind, around.booted, |level| level != "INFO")),
        ["selftest"] => Command::SelfTest,
        ["monitor" | "top"] => Command::Monitor,
        ["passwd"] => Command::Passwd,
        ["show", "version"] => say(texts::version(kind)),
        ["show", ..] if kind != Kind::Switch => {
            refuse("show: この機器で表示できるのは show version です。状態は status を使ってください。", 2)
        }
        _ => say(texts::speciality(kind, words)?.to_owned()),
    })
}

/// The commands that move bytes or take time.
fn streaming_command(name: &str, arguments: &[&str], around: &Surroundings<'_>) -> Option<Command> {
    Some(match (name, arguments) {
        ("cat", [] | ["-"]) => Command::Echo,
        ("cat", paths) => show(paths, around),
        ("wc", ["-c"]) => Command::Count,
        ("head", ["-c", amount, "/dev/zero"]) => match bytes(amount) {
            Some(amount) => Command::Zeros(amount),
            None => refuse(&format!("head: バイト数が正しくありません: {amount}（例: 1048576, 200M, 1G）"), 1),
        },
        ("head" | "wc", _) => refuse(&format!("{name}: 使い方: head -c バイト数 /dev/zero、または wc -c"), 2),
        ("sleep", [seconds]) => match seconds.parse::<f64>() {
            Ok(seconds) if (0.0..=LONGEST_SLEEP).contains(&seconds) => Command::Sleep(Duration::from_secs_f64(seconds)),
            _ => refuse(&format!("sleep: 秒数が正しくありません: {seconds}（0 から 86400 まで）"), 1),
        },
        ("scp", ["-t" | "-f", ..]) | ("scp", [_, "-t" | "-f", ..]) => refuse(
            "scp: この模擬機器は旧 scp プロトコルに対応していません。-O を付けずに scp を使うか、sftp を使ってください。",
            1,
        ),
        _ => return None,
    })
}

/// What any small system has.
fn shell_command(name: &str, arguments: &[&str], around: &Surroundings<'_>) -> Option<Command> {
    let personality = around.personality;
    Some(match (name, arguments) {
        ("exit" | "logout" | "quit", []) => Command::Exit(None),
        ("exit", [status]) => match status.parse::<u8>() {
            Ok(status) => Command::Exit(Some(u32::from(status))),
            Err(_) => refuse(&format!("exit: 終了コードは 0 から 255 までの数です: {status}"), 2),
        },
        ("echo", words) => say(format!("{}\n", words.join(" "))),
        ("true", _) => say(String::new()),
        ("false", _) => refuse("", 1),
        ("clear", []) => say("\x1b[H\x1b[2J".to_owned()),
        ("whoami", []) => say(format!("{}\n", around.account)),
        ("hostname", []) => say(format!("{}\n", personality.id)),
        ("uname", []) => say("Linux\n".to_owned()),
        ("uname", ["-a"]) => say(texts::uname(personality)),
        ("date", []) => say(format!("{}\n", texts::japan_time(around.now))),
        ("pwd", []) => say(format!("{}\n", around.folder)),
        ("cd", []) => Command::ChangeFolder(files::HOME.to_owned()),
        ("cd", [path]) => change_folder(path, around),
        ("ls", arguments) => list(arguments, around),
        _ => return None,
    })
}

fn status(around: &Surroundings<'_>) -> String {
    let mut lines = vec![format!(
        "{}（{}） {}",
        around.personality.name,
        around.personality.kind.label(),
        texts::japan_time(around.now)
    )];
    let uptime = around.now - around.booted;
    lines.push(format!("稼働時間: {}時間{}分", uptime.num_hours(), uptime.num_minutes() % 60));
    lines.extend(texts::status(around.personality.kind).iter().map(|(label, value)| format!("{label}: {value}")));
    lines.join("\n") + "\n"
}

fn show(paths: &[&str], around: &Surroundings<'_>) -> Command {
    let paths: Vec<String> = paths.iter().map(|path| files::resolve(around.folder, path)).collect();
    for path in &paths {
        if let Err(error) = around.files.read(path, 0, 0) {
            return refuse(&format!("cat: {error}"), 1);
        }
    }
    Command::Show(paths)
}

fn change_folder(path: &str, around: &Surroundings<'_>) -> Command {
    let path = files::resolve(around.folder, path);
    match around.files.list(&path) {
        Ok(_) => Command::ChangeFolder(path),
        Err(error) => refuse(&format!("cd: {error}"), 1),
    }
}

fn list(arguments: &[&str], around: &Surroundings<'_>) -> Command {
    let long = arguments.iter().any(|argument| argument.starts_with('-') && argument.contains('l'));
    let path = arguments.iter().find(|argument| !argument.starts_with('-')).unwrap_or(&".");
    match around.files.list(&files::resolve(around.folder, path)) {
        Ok(entries) => say(entries.iter().map(|entry| entry.line(long)).collect()),
        Err(error) => refuse(&format!("ls: {error}"), 1),
    }
}

fn say(out: String) -> Command {
    Command::Answer { out, error: String::new(), status: 0 }
}

fn refuse(message: &str, status: u32) -> Command {
    let error = if message.is_empty() { String::new() } else { format!("{message}\n") };
    Command::Answer { out: String::new(), error, status }
}

fn unknown(name: &str) -> Command {
    refuse(&format!("{name}: コマンドが見つかりません。help で一覧を表示します。"), NOT_FOUND)
}

/// A number of bytes with an optional K, M or G (powers of 1024).
fn bytes(text: &str) -> Option<u64> {
    let (digits, unit) = match text.strip_suffix(['K', 'M', 'G']) {
        Some(digits) if text.ends_with('K') => (digits, 1 << 10),
        Some(digits) if text.ends_with('M') => (digits, 1 << 20),
        Some(digits) => (digits, 1 << 30),
        None => (text, 1),
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

/// Splits a line at blanks; quotes and backslashes as in a shell, nothing else is special.
fn words(line: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => word.get_or_insert_default().extend(characters.next()),
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err("引用符が閉じていません。");
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::super::{DemoAccount, folders};
    use super::*;

    fn ask(kind: Kind, line: &str) -> Command {
        let personality = Personality {
            id: "ct-01".parse().unwrap(),
            kind,
            name: "第1CT室".to_owned(),
            accounts: vec![DemoAccount {
                name: "service".to_owned(),
                password: None,
                authorized: None,
                trusted_ca: None,
            }],
            ports: Vec::new(),
        };
        let now = "2026-11-22T01:02:03Z".parse().unwrap();
        let files = FileTree::new(folders::furnish(&personality, now));
        let around = Surroundings {
            personality: &personality,
            files: &files,
            booted: now - chrono::Duration::minutes(61),
            account: "service",
            folder: files::HOME,
            now,
        };
        interpret(line, &around)
    }

    fn out(kind: Kind, line: &str) -> String {
        match ask(kind, line) {
            Command::Answer { out, error, status: 0 } if error.is_empty() => out,
            other => panic!("{line:?} was answered with {other:?}"),
        }
    }

    fn failure(line: &str) -> (u32, String) {
        match ask(Kind::Ct, line) {
            Command::Answer { out, error, status } if out.is_empty() => (status, error),
            other => panic!("{line:?} was answered with {other:?}"),
        }
    }

    #[test]
    fn every_kind_answers_what_its_help_lists() {
        for kind in [Kind::Ct, Kind::Mri, Kind::Laboratory, Kind::Records, Kind::Archive, Kind::Switch] {
            let help = out(kind, "help");
            let commands: Vec<&str> = help
                .lines()
                .filter_map(|line| line.strip_prefix("  "))
                .filter_map(|line| line.split("  ").next())
                .filter(|command| !command.contains('['))
                .collect();
            assert!(commands.len() > 10, "{kind:?}: {help}");
            for command in commands {
                if let Command::Answer { status, error, .. } = ask(kind, command) {
                    assert_eq!((status, error.as_str()), (0, ""), "{command}");
                }
            }
        }
    }

    #[test]
    fn status_tells_name_time_and_uptime() {
        let status = out(Kind::Ct, "status");
        assert!(status.starts_with("第1CT室（CTスキャナ） 2026-11-22 10:02:03 JST\n稼働時間: 1時間1分\n"), "{status}");
        assert!(status.contains("管球温度: "), "{status}");
    }

    #[test]
    fn errors_are_a_part_of_the_log() {
        let log = out(Kind::Mri, "log");
        let errors = out(Kind::Mri, "errors");
        assert!(!errors.is_empty() && errors.lines().count() < log.lines().count());
        assert!(errors.lines().all(|line| log.contains(line) && !line.contains("INFO")));
    }

    #[test]
    fn the_switch_shows_its_interfaces_and_others_do_not() {
        assert!(out(Kind::Switch, "show interfaces").contains("GigabitEthernet"));
        assert_eq!(failure("show interfaces").0, 2);
    }

    #[test]
    fn what_does_not_exist_ends_with_127_and_says_so() {
        let (status, error) = failure("reboot now");
        assert_eq!(status, 127);
        assert!(error.starts_with("reboot: "), "{error}");
    }

    #[test]
    fn words_are_split_as_a_shell_does() {
        assert_eq!(out(Kind::Ct, "echo  'a  b' \"c\\\"d\" e\\ f ''"), "a  b c\"d e f \n");
        assert_eq!(failure("echo 'open").0, 2);
        assert_eq!(out(Kind::Ct, "   "), "");
    }

    #[test]
    fn amounts_have_units_and_limits() {
        assert_eq!(ask(Kind::Ct, "head -c 200M /dev/zero"), Command::Zeros(200 << 20));
        assert_eq!(ask(Kind::Ct, "head -c 7 /dev/zero"), Command::Zeros(7));
        assert_eq!(failure("head -c 99999999999999999G /dev/zero").0, 1);
        assert_eq!(failure("head -c x /dev/zero").0, 1);
        assert_eq!(ask(Kind::Ct, "sleep 0.5"), Command::Sleep(Duration::from_millis(500)));
        assert_eq!(failure("sleep -1").0, 1);
        assert_eq!(failure("sleep NaN").0, 1);
        assert_eq!(ask(Kind::Ct, "exit 3"), Command::Exit(Some(3)));
        assert_eq!(failure("exit 256").0, 2);
    }

    #[test]
    fn files_are_found_from_the_current_folder() {
        assert_eq!(out(Kind::Ct, "ls"), "images/\nincoming/\nlogs/\n");
        assert_eq!(ask(Kind::Ct, "cat logs/system.log"), Command::Show(vec!["/data/logs/system.log".to_owned()]));
        assert_eq!(ask(Kind::Ct, "cd ../../../etc"), Command::ChangeFolder("/etc".to_owned()));
        assert_eq!(failure("cat logs/none.log").0, 1);
        assert_eq!(failure("cd logs/system.log").0, 1);
    }
}
