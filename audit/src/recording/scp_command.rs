//! Whether a command is the far end of `scp -O`, and where its files go.
//!
//! The gateway asks as well: `scp` may be permitted where other commands are not, so anything that a shell could take
//! for a second command is no scp.

use super::values::Direction;

/// `scp -t PATH` or `scp -f PATH`, as an scp client asks the device to run it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScpCommand {
    /// `-t` receives on the device, `-f` sends from it.
    pub direction: Direction,
    /// The path, as a POSIX shell would pass it on; globs and `~` stand as they are.
    pub path: String,
    /// `-d` or `-r`: the path is, or becomes, a folder.
    pub folder: bool,
}

impl ScpCommand {
    /// Reads a command; `None` if it is anything but one plain scp.
    #[must_use]
    pub fn parse(command: &str) -> Option<Self> {
        let words = words(command)?;
        let (program, arguments) = words.split_first()?;
        if program.rsplit('/').next() != Some("scp") {
            return None;
        }
        let flags_end =
            arguments.iter().position(|word| !word.starts_with('-') || word == "--").unwrap_or(arguments.len());
        let (flags, rest) = arguments.split_at(flags_end);
        let paths = rest.strip_prefix(&["--".to_owned()]).unwrap_or(rest);
        let letters = flags.iter().flat_map(|flag| flag.chars().skip(1)).collect::<String>();
        let known = letters.chars().all(|letter| "tfrpdvq".contains(letter));
        let direction = match (letters.contains('t'), letters.contains('f')) {
            (true, false) => Direction::ToDevice,
            (false, true) => Direction::FromDevice,
            _ => return None,
        };
        let folder = letters.contains(['d', 'r']);
        match paths {
            [path] if known => Some(Self { direction, path: path.clone(), folder }),
            _ => None,
        }
    }

    /// The path on the device of a file `name` inside `folders`, and whether it is sure to be the whole path: towards
    /// the device a lone target may be a folder or the file itself, and only the device knows.
    pub(super) fn path_of(&self, folders: &[String], name: &str) -> (String, bool) {
        let below = folders.iter().map(String::as_str).chain([name]).collect::<Vec<_>>().join("/");
        match self.direction {
            Direction::FromDevice => match self.path.trim_end_matches('/').rsplit_once('/') {
                Some((parent, _)) => (format!("{parent}/{below}"), true),
                None => (below, true),
            },
            Direction::ToDevice => {
                let into = self.folder || !folders.is_empty() || self.path.ends_with('/') || self.path == ".";
                if into {
                    (format!("{}/{below}", self.path.trim_end_matches('/')), true)
                } else {
                    (self.path.clone(), false)
                }
            }
        }
    }
}

/// Splits as a POSIX shell does; `None` for whatever would make it do more than pass words on.
fn words(command: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = command.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ' ' | '\t' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next()? {
                        '\'' => break,
                        inside => word.push(inside),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next()? {
                        '"' => break,
                        '$' | '`' => return None,
                        '\\' => word.push(letters.next().filter(|escaped| "\"\\$`".contains(*escaped))?),
                        inside => word.push(inside),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(letters.next().filter(|escaped| *escaped != '\n')?),
            ';' | '&' | '|' | '<' | '>' | '(' | ')' | '$' | '`' | '\n' | '\r' | '\0' => return None,
            plain => word.get_or_insert_default().push(plain),
        }
    }
    words.extend(word);
    Some(words)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn only_one_plain_scp_is_an_scp() {
        let cases = [
            ("scp -t /tmp/a", Some((Direction::ToDevice, "/tmp/a", false))),
            ("scp -v -r -p -f -- '/var/log/my file'", Some((Direction::FromDevice, "/var/log/my file", true))),
            ("/usr/bin/scp -pt \"a b\"", Some((Direction::ToDevice, "a b", false))),
            ("scp -d -t /srv", Some((Direction::ToDevice, "/srv", true))),
            ("scp -f /var/log/*.log", Some((Direction::FromDevice, "/var/log/*.log", false))),
            ("scp -t /tmp; rm -rf /", None),
            ("scp -t $(id)", None),
            ("scp -t \"`id`\"", None),
            ("scp -t a\nid", None),
            ("scp -t a && id", None),
            ("scp -S /tmp/evil -t a", None),
            ("scp a b", None),
            ("scp -t", None),
            ("scp -t -f a", None),
            ("scp -t 'a", None),
            ("escp -t a", None),
            ("", None),
        ];
        for (command, expected) in cases {
            let found = ScpCommand::parse(command);
            let found = found.as_ref().map(|scp| (scp.direction, scp.path.as_str(), scp.folder));
            assert_eq!(found, expected, "{command}");
        }
    }

    #[test]
    fn paths_say_whether_they_are_sure() {
        let to = ScpCommand::parse("scp -t /tmp/x").unwrap();
        assert_eq!(to.path_of(&[], "a"), ("/tmp/x".to_owned(), false));
        let into = ScpCommand::parse("scp -r -t /tmp/").unwrap();
        assert_eq!(into.path_of(&["d".to_owned()], "a"), ("/tmp/d/a".to_owned(), true));
        let from = ScpCommand::parse("scp -f /var/log/*.log").unwrap();
        assert_eq!(from.path_of(&[], "a.log"), ("/var/log/a.log".to_owned(), true));
    }
}
