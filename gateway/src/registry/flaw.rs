//! What is wrong with what was typed: in which field, and a sentence in two languages that says what to type instead.

use sekimori_policy::authority::Refusal;
use sekimori_policy::facts::{Channel, Language};
use std::fmt;

/// Something wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// The field, as forms name it.
    pub field: &'static str,
    /// What is wrong.
    pub problem: Problem,
}

impl Flaw {
    /// A flaw of a field.
    #[must_use]
    pub fn new(field: &'static str, problem: Problem) -> Self {
        Self { field, problem }
    }
}

/// What is wrong with a value. `Display` is the English sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// Nothing was typed.
    Missing,
    /// More characters than are kept.
    TooLong {
        /// The most.
        most: usize,
    },
    /// More entries than are kept.
    TooMany {
        /// The most.
        most: usize,
    },
    /// A control character, or a mark that reorders or hides text.
    Unseen,
    /// No ID.
    NoId(String),
    /// The ID is taken.
    Taken(String),
    /// Nothing of that name is registered.
    Unknown(String),
    /// No network.
    NoNetwork(String),
    /// No date.
    NoDate(String),
    /// A contract with one end.
    HalfContract,
    /// A contract that ends before it begins.
    ContractBackwards,
    /// No address.
    NoAddress(String),
    /// No TCP port.
    NoPort(String),
    /// No mail address.
    NoMail(String),
    /// No account.
    NotAnAccount(String),
    /// A device without any account.
    NoAccount,
    /// The same entry twice.
    Twice,
    /// The gateway answers at this port itself.
    Answered {
        /// The port.
        port: u16,
    },
    /// Telnet has nothing of the kind.
    BeyondTelnet(Channel),
    /// Telnet has no host keys.
    NoHostKeys,
    /// Telnet signs in with a password.
    TelnetTakesAPassword,
    /// The device does not present this key now.
    NotPresented,
    /// No private key.
    NoPrivateKey(String),
    /// A private key that somebody would have to type a passphrase for.
    KeyHasPassphrase,
    /// It was retired.
    Retired(String),
    /// Nobody would be left who manages people.
    LastAdministrator(String),
    /// The policy is against it.
    Refused(Refusal),
}

impl Problem {
    /// What is wrong and what to do, as a sentence.
    #[must_use]
    pub fn sentence(&self, language: Language) -> String {
        match language {
            Language::Ja => self.japanese(),
            Language::En => self.to_string(),
        }
    }

    fn japanese(&self) -> String {
        match self {
            Self::Missing => "入力してください。".into(),
            Self::TooLong { most } => format!("長すぎます。{most}文字までにしてください。"),
            Self::TooMany { most } => format!("多すぎます。{most}件までにしてください。"),
            Self::Unseen => "制御文字や、文字の並びを変える目に見えない記号が含まれています。入力し直してください。".into(),
            Self::NoId(text) => format!(
                "「{text}」はIDとして使えません。半角の英小文字・数字・「.」「_」「-」で、英小文字か数字から始まる1〜63文字にしてください。"
            ),
            Self::Taken(id) => format!("「{id}」はすでに登録されています。別のIDにしてください。"),
            Self::Unknown(id) => format!("「{id}」は登録されていません。一覧で確かめてください。"),
            Self::NoNetwork(text) => {
                format!("「{text}」はネットワークではありません。203.0.113.0/24 のように入力してください。")
            }
            Self::NoDate(text) => format!("「{text}」は日付ではありません。2026-11-22 のように入力してください。"),
            Self::HalfContract => "契約の開始日と終了日を両方入力してください。".into(),
            Self::ContractBackwards => "契約の終了日が開始日より前です。日付を確かめてください。".into(),
            Self::NoAddress(text) => format!(
                "「{text}」はアドレスではありません。10.0.0.5、fd00::5、ct-01.hospital のように入力してください。"
            ),
            Self::NoPort(text) => {
                format!("「{text}」はポート番号ではありません。1から65535までの半角数字で入力してください。")
            }
            Self::NoMail(text) => format!(
                "「{text}」はメールアドレスではありません。sato@hospital.example のように、半角で1件だけ入力してください。"
            ),
            Self::NotAnAccount(text) => format!(
                "「{text}」はアカウントとして使えません。空白と「+」を含まない半角文字で、共用の場合は「名前:shared」と入力してください。"
            ),
            Self::NoAccount => "機器のアカウントを1件以上入力してください。".into(),
            Self::Twice => "同じものが2回入力されています。1回にしてください。".into(),
            Self::Answered { port } => format!(
                "ポート{port}はゲートウェイ自身が応答するため、記録を通さずに転送することはできません。代わりに端末・コマンド・SFTP・SCPを許可してください。"
            ),
            Self::BeyondTelnet(channel) => {
                format!("telnetの機器では{channel}を使えません。許可できるのは端末（shell）とポート転送だけです。")
            }
            Self::NoHostKeys => "telnetの機器にはホスト鍵がありません。確かめる手段はアドレスだけです。".into(),
            Self::TelnetTakesAPassword => "telnetの機器に使えるのはパスワードだけです。".into(),
            Self::NotPresented => {
                "機器はいま、この鍵を示していません。何も登録していません。もう一度読み取って見比べてください。".into()
            }
            Self::NoPrivateKey(why) => {
                format!("OpenSSH形式の秘密鍵ではありません（{why}）。ファイルの内容をそのまま貼り付けてください。")
            }
            Self::KeyHasPassphrase => {
                "秘密鍵にパスフレーズが設定されています。接続のたびに入力できる人がいないため、パスフレーズのない鍵にしてください。".into()
            }
            Self::LastAdministrator(id) => format!(
                "「{id}」は利用者を管理できる最後の人です。先に、ほかの人にシステム運用担当者の役割を与えてください。"
            ),
            Self::Refused(refusal) => refusal.sentence(Language::Ja),
            Self::Retired(id) => format!("「{id}」は廃止済みのため、元に戻せません。新しいIDで登録してください。"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("nothing was typed: fill it in"),
            Self::TooLong { most } => write!(f, "it is too long: {most} characters at most"),
            Self::TooMany { most } => write!(f, "there are too many: {most} at most"),
            Self::Unseen => f.write_str("there are control characters or marks that reorder text in it: type it anew"),
            Self::NoId(text) => write!(
                f,
                "{text:?} is no ID: use 1 to 63 of a-z, 0-9, '.', '_' and '-', beginning with a letter or a digit"
            ),
            Self::Taken(id) => write!(f, "{id} exists already: choose another ID"),
            Self::Unknown(id) => write!(f, "{id} is not registered: look at the list for its name"),
            Self::NoNetwork(text) => write!(f, "{text} is no network: write 203.0.113.0/24"),
            Self::NoDate(text) => write!(f, "{text} is no date: write it as 2026-11-22"),
            Self::HalfContract => f.write_str("a contract needs both its first and its last day"),
            Self::ContractBackwards => f.write_str("the contract would end before it begins: check both days"),
            Self::NoAddress(text) => {
                write!(f, "{text:?} is no address: write HOST, HOST:PORT or [IPV6]:PORT, such as 10.0.0.5 or fd00::5")
            }
            Self::NoPort(text) => write!(f, "{text} is no port: write 1 to 65535"),
            Self::NoMail(text) => {
                write!(f, "{text:?} is no mail address: write one, in ASCII, such as sato@hospital.example")
            }
            Self::NotAnAccount(text) => {
                write!(f, "{text} is no account: write NAME or NAME:shared, in ASCII without blanks and '+'")
            }
            Self::NoAccount => f.write_str("a device needs at least one account"),
            Self::Twice => f.write_str("the same is named twice: name it once"),
            Self::Answered { port } => write!(
                f,
                "port {port} is answered by the gateway itself, and never forwarded past the recording: permit shell, \
                 exec, sftp or scp instead"
            ),
            Self::BeyondTelnet(channel) => {
                write!(f, "a device that speaks telnet has no {channel}: permit shell, and ports to forward")
            }
            Self::NoHostKeys => {
                f.write_str("it speaks telnet: there is no host key, and nothing but its address to know it by")
            }
            Self::TelnetTakesAPassword => f.write_str("it speaks telnet: it takes a password only"),
            Self::NotPresented => {
                f.write_str("it does not present this key now, and nothing was pinned: scan it again and compare")
            }
            Self::NoPrivateKey(why) => {
                write!(f, "this is no OpenSSH private key ({why}): give the whole content of the file")
            }
            Self::KeyHasPassphrase => {
                f.write_str("it has a passphrase: nobody could type it at night; store a key without one")
            }
            Self::LastAdministrator(id) => {
                write!(f, "{id} is the last one who manages people: give somebody else the role of administrator first")
            }
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Retired(id) => write!(f, "{id} was retired for good: register it anew under another ID"),
        }
    }
}
