//! What a person reads in the terminal, in their language.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use sekimori_policy::facts::{Language, Source};

/// Before anybody is known: both languages, and the address that the gateway sees, which is what a refused engineer
/// needs to tell the hospital.
pub fn banner(hospital: &str, source: Source) -> String {
    format!(
        "\r\n{hospital} 関守 / Sekimori\r\n\
         この接続は記録されます。許可された方以外の利用を禁じます。\r\n\
         Everything here is recorded. Authorised maintenance only.\r\n\
         接続元 / source: {source}\r\n\r\n"
    )
}

/// The prompts of the keyboard-interactive sign-in. The language of an unproved name is not looked up.
pub const PASSWORD: &str = "Password / パスワード: ";

/// See [`PASSWORD`].
pub const CODE: &str = "One-time code / 確認コード: ";

/// At the start of a terminal: what is recorded, which work this is, and when it ends.
pub fn opening(language: Language, device: &str, account: &str, work: &str, until: DateTime<Utc>, zone: Tz) -> String {
    let at = until.with_timezone(&zone).format("%Y-%m-%d %H:%M %Z");
    let left = remaining(language, until);
    match language {
        Language::Ja => format!(
            "*** 関守: {device} に {account} として接続します。作業: {work}\r\n\
             *** 画面出力とファイル転送はすべて記録されます。終了: {at}（{left}）"
        ),
        Language::En => format!(
            "*** Sekimori: connecting to {device} as {account}. Work: {work}\r\n\
             *** All output and file transfers are recorded. Ends {at} ({left})"
        ),
    }
}

/// How long is left, in hours and minutes.
pub fn remaining(language: Language, until: DateTime<Utc>) -> String {
    let minutes = ((until - Utc::now()).num_seconds().max(0) + 59) / 60;
    match (language, minutes / 60, minutes % 60) {
        (Language::Ja, 0, minutes) => format!("あと{minutes}分"),
        (Language::Ja, hours, minutes) => format!("あと{hours}時間{minutes}分"),
        (Language::En, 0, minutes) => format!("{minutes} min left"),
        (Language::En, hours, minutes) => format!("{hours} h {minutes} min left"),
    }
}

/// While a work waits for its approval after the fact.
pub fn emergency(language: Language) -> &'static str {
    match language {
        Language::Ja => "*** 緊急接続です。事後承認を待っています。",
        Language::En => "*** Emergency access: its approval is still to follow.",
    }
}

/// A channel that the permit does not name.
pub fn not_permitted(language: Language, channel: &str, work: &str) -> String {
    match language {
        Language::Ja => {
            format!("この作業（{work}）では {channel} は許可されていません。必要なら申請を変更してください。")
        }
        Language::En => format!("{channel} is not permitted in this work ({work}). Change the request if you need it."),
    }
}

/// A device that speaks telnet.
pub fn terminal_only(language: Language) -> &'static str {
    match language {
        Language::Ja => {
            "この機器には telnet で接続するため、端末（ssh -t）だけが使えます。コマンド実行とファイル転送はできません。"
        }
        Language::En => {
            "This device is reached by telnet: a terminal (ssh -t) is all there is, no commands and no file transfers."
        }
    }
}

/// The session that a channel was to open in is paused.
pub fn paused(language: Language, reason: &str) -> String {
    match language {
        Language::Ja => format!("病院が接続を一時停止しています。再開後にもう一度お試しください。理由: {reason}"),
        Language::En => format!("The hospital has paused this session. Try again when it is resumed. Reason: {reason}"),
    }
}

/// A subsystem that nobody offers.
pub fn unknown_subsystem(language: Language, name: &str) -> String {
    let name: String = name.chars().filter(|c| !c.is_control()).take(40).collect();
    match language {
        Language::Ja => format!("サブシステム {name} は利用できません。利用できるのは sftp だけです。"),
        Language::En => format!("The subsystem {name} is not available; only sftp is."),
    }
}

/// An exec without a device that is no command of the gateway's.
pub fn unknown_command(language: Language) -> &'static str {
    match language {
        Language::Ja => "機器を指定してください: ssh 利用者+機器@… 。機器なしで使えるのは sign-in だけです。",
        Language::En => "Name a device: ssh person+device@… . Without one, the only command is sign-in.",
    }
}

/// The device's connection broke off.
pub fn device_lost(language: Language) -> &'static str {
    match language {
        Language::Ja => "機器との接続が切れました。",
        Language::En => "The connection to the device was lost.",
    }
}

/// A peer sent more than flow control allows.
pub fn flooded(language: Language) -> &'static str {
    match language {
        Language::Ja => "通信量の制御に従わないデータを受け取ったため、終了しました。",
        Language::En => "More data arrived than flow control allows, so this channel was ended.",
    }
}

/// The device took nothing for a set time while other channels were slowed down for it.
pub fn stalled(language: Language) -> &'static str {
    match language {
        Language::Ja => "機器がデータを受け取らなくなり、他の通信を妨げるため、この通信を終了しました。",
        Language::En => "The device stopped taking data and held up other channels, so this channel was ended.",
    }
}

/// What came is no SFTP or scp that can be recorded as such.
pub fn malformed(language: Language) -> &'static str {
    match language {
        Language::Ja => "ファイル転送の内容を解釈できず記録できないため、この通信を終了しました。",
        Language::En => "The file transfer could not be understood and recorded, so this channel was ended.",
    }
}

/// Every line of a refusal, marked as the gateway's own.
pub fn refusal(language: Language, sentences: &[String]) -> String {
    let head = match language {
        Language::Ja => "*** 関守: 接続できません。",
        Language::En => "*** Sekimori: not permitted.",
    };
    let mut text = format!("{head}\r\n");
    for sentence in sentences {
        text.push_str("    - ");
        text.push_str(sentence);
        text.push_str("\r\n");
    }
    text
}
