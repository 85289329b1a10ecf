//! Why a session ended: for the record, and for the person who reads it in the terminal.

use sekimori_policy::decide::Limit;
use sekimori_policy::facts::Language;
use sekimori_policy::reason::Reason;

/// Why a session ended. The first cause counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The person's client closed the connection.
    PersonLeft,
    /// The client's machine or its network gave no sign any more.
    PersonLost,
    /// A limit of the permit was reached.
    Until(Limit),
    /// The facts changed, and the decision with them.
    Denied(Vec<Reason>),
    /// The sign-in that it stands on was revoked, or ended in the console.
    SignInRevoked,
    /// What was in use is no longer permitted, though the rest of the work is.
    Narrowed,
    /// Somebody at the hospital cut it.
    Cut {
        /// Why, in that person's words.
        reason: String,
    },
    /// The recording could not be written.
    RecordingFailed(String),
    /// Nobody typed and nothing came for so many minutes.
    Idle {
        /// The configured limit, in minutes.
        minutes: u64,
    },
    /// The database could not be asked for longer than the grace time.
    StoreUnavailable,
    /// Events could not be sealed into the transparency log for too long.
    LogUnsealed,
    /// The gateway is being stopped.
    Shutdown,
}

impl End {
    /// The stable code, as stored.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::PersonLeft => "person-left",
            Self::PersonLost => "connection-lost",
            Self::Until(limit) => limit.code(),
            Self::Denied(_) => "denied",
            Self::SignInRevoked => "sign-in-revoked",
            Self::Narrowed => "no-longer-permitted",
            Self::Cut { .. } => "cut",
            Self::RecordingFailed(_) => "recording-failed",
            Self::Idle { .. } => "idle",
            Self::StoreUnavailable => "store-unavailable",
            Self::LogUnsealed => "log-unsealed",
            Self::Shutdown => "shutdown",
        }
    }

    /// The sentence that the person reads.
    #[must_use]
    pub fn sentence(&self, language: Language) -> String {
        let ja = language == Language::Ja;
        match self {
            Self::PersonLeft if ja => "接続元が切断しました。".into(),
            Self::PersonLeft => "The client closed the connection.".into(),
            Self::PersonLost if ja => "接続元からの応答がなくなったため、接続を終了しました。".into(),
            Self::PersonLost => {
                "The client's machine or network gave no sign any more, so the session was ended.".into()
            }
            Self::Until(limit) => limit.sentence(language).into(),
            Self::Denied(reasons) => {
                let reasons: Vec<_> = reasons.iter().map(|reason| reason.sentence(language)).collect();
                reasons.join(if ja { "" } else { " " })
            }
            Self::SignInRevoked if ja => "この接続のもとになったサインインが終了したか、取り消されました。".into(),
            Self::SignInRevoked => "The sign-in that this session stands on was ended or revoked.".into(),
            Self::Narrowed if ja => "使用中の機能の許可が取り消されたため、接続を終了しました。".into(),
            Self::Narrowed => "What was in use is no longer permitted, so the session was ended.".into(),
            Self::Cut { reason } if ja => format!("病院が接続を遮断しました。理由: {reason}"),
            Self::Cut { reason } => format!("The hospital cut this session off. Reason: {reason}"),
            Self::RecordingFailed(_) if ja => {
                "操作記録を書き込めないため、接続を終了しました。病院に連絡してください。".into()
            }
            Self::RecordingFailed(_) => {
                "The recording can no longer be written, so the session was ended. Tell the hospital.".into()
            }
            Self::Idle { minutes } if ja => format!("{minutes}分間操作がなかったため、接続を終了しました。"),
            Self::Idle { minutes } => format!("The session was idle for {minutes} minutes and was ended."),
            Self::StoreUnavailable if ja => "ゲートウェイのデータベースが応答しないため、接続を終了しました。".into(),
            Self::StoreUnavailable => "The gateway's database does not answer, so the session was ended.".into(),
            Self::LogUnsealed if ja => {
                "監査ログに書き込めない状態が続いたため、接続を終了しました。病院に連絡してください。".into()
            }
            Self::LogUnsealed => {
                "The gateway's log can no longer be written, so the session was ended. Tell the hospital.".into()
            }
            Self::Shutdown if ja => "ゲートウェイを停止するため、接続を終了しました。".into(),
            Self::Shutdown => "The gateway is being stopped, so the session was ended.".into(),
        }
    }
}
