//! What cannot be read from a file, or written into one: named by row and column, in two languages.

use sekimori_policy::facts::Language;
use std::fmt;

/// One thing that cannot be read or written, and where. Nothing is imported or exported while there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The row as a spreadsheet counts it: the headings are row 1. 0 stands for the file as a whole.
    pub row: u64,
    /// The column's heading, or its number counted from 1 where it has none; `None` for the row as a whole.
    pub column: Option<String>,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a cell, a row or a file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// It is no CSV file; what it looks like.
    NotCsv(&'static str),
    /// The CSV could not be put together.
    NotWritten,
    /// There is not even a row of headings.
    NoHeadings,
    /// A heading is missing that must be there.
    MissingColumn,
    /// A heading is not known.
    UnknownColumn,
    /// A heading stands there twice.
    RepeatedColumn,
    /// A cell has content but no heading above it.
    NoHeading,
    /// A quotation mark is opened and never closed.
    OpenQuote,
    /// The bytes are no text in the encoding named.
    NotText(&'static str),
    /// The cell holds a control character, which could act on a terminal.
    ControlCharacter,
    /// A cell that must be filled is empty.
    Empty,
    /// The 管理番号 stands in another row already.
    Repeated {
        /// That row.
        first: u64,
    },
    /// The word is none of the column's.
    NoneOf {
        /// What stands there.
        text: String,
        /// What may stand there.
        choices: Vec<&'static str>,
    },
    /// The text is no date.
    NotADate(String),
    /// The text is no whole number.
    NotANumber(String),
    /// The text is no address or network.
    NotANetwork(String),
    /// The text is no device id of the gateway.
    NotADevice(String),
    /// 対象外 without a reason.
    ReasonMissing,
    /// The encoding cannot hold a character.
    Unencodable {
        /// The character.
        character: char,
        /// The encoding.
        encoding: &'static str,
    },
}

impl Fault {
    /// Where, what, and what to do.
    #[must_use]
    pub fn sentence(&self, language: Language) -> String {
        match (language, self.row, &self.column) {
            (Language::Ja, 0, _) => format!("ファイル：{}", self.problem.ja()),
            (Language::Ja, row, None) => format!("{row}行目：{}", self.problem.ja()),
            (Language::Ja, row, Some(column)) => format!("{row}行目「{column}」：{}", self.problem.ja()),
            (Language::En, 0, _) => format!("the file: {}", self.problem.en()),
            (Language::En, row, None) => format!("row {row}: {}", self.problem.en()),
            (Language::En, row, Some(column)) => format!("row {row}, column {column}: {}", self.problem.en()),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence(Language::En))
    }
}

impl Problem {
    fn ja(&self) -> String {
        match self {
            Self::NotCsv(kind) => format!("CSVではありません（{kind}）。CSV形式で保存し直してください。"),
            Self::NotWritten => "CSVを作成できませんでした。不具合として報告してください。".into(),
            Self::NoHeadings => "見出しの行がありません。1行目に見出しを入れてください。".into(),
            Self::MissingColumn => "この見出しの列がありません。追加してください。".into(),
            Self::UnknownColumn => "機器台帳にない見出しです。見出しを直すか、列を削除してください。".into(),
            Self::RepeatedColumn => "同じ見出しが2回あります。どちらかを削除してください。".into(),
            Self::NoHeading => "見出しのない列に値があります。見出しを付けるか、値を削除してください。".into(),
            Self::OpenQuote => "引用符（\"）が閉じられていません。".into(),
            Self::NotText(encoding) => format!("{encoding}の文字として読めません。文字コードを確認してください。"),
            Self::ControlCharacter => "制御文字が含まれています。削除してください。".into(),
            Self::Empty => "空欄です。記入してください。".into(),
            Self::Repeated { first } => format!("{first}行目と重複しています。"),
            Self::NoneOf { text, choices } => {
                format!("「{text}」は使えません。{}のいずれかを記入してください。", choices.join("、"))
            }
            Self::NotADate(text) => format!("「{text}」は日付として読めません。2020/12/1の形で記入してください。"),
            Self::NotANumber(text) => format!("「{text}」は数として読めません。整数で記入してください。"),
            Self::NotANetwork(text) => {
                format!("「{text}」はIPアドレスとして読めません。192.0.2.0/24の形で記入してください。")
            }
            Self::NotADevice(text) => {
                format!("「{text}」は機器IDとして使えません。半角の英小文字・数字で記入してください。")
            }
            Self::ReasonMissing => "対象外とする理由を記入してください。".into(),
            Self::Unencodable { character, encoding } => format!(
                "「{character}」（U+{:04X}）は{encoding}で表せません。UTF-8で出力するか、置き換えを指定してください。",
                u32::from(*character)
            ),
        }
    }

    fn en(&self) -> String {
        match self {
            Self::NotCsv(kind) => format!("this is no CSV but {kind}: save it as CSV"),
            Self::NotWritten => "the CSV could not be put together: report this as a defect".into(),
            Self::NoHeadings => "there is no row of headings: put one first".into(),
            Self::MissingColumn => "this column is missing: add it".into(),
            Self::UnknownColumn => "not a heading of the ledger: correct it or remove the column".into(),
            Self::RepeatedColumn => "the heading stands there twice: remove one".into(),
            Self::NoHeading => "there is a value but no heading: add the heading or remove the value".into(),
            Self::OpenQuote => "a quotation mark is opened and never closed".into(),
            Self::NotText(encoding) => format!("this is no text in {encoding}: see which encoding the file has"),
            Self::ControlCharacter => "there is a control character: remove it".into(),
            Self::Empty => "this must not be empty: fill it in".into(),
            Self::Repeated { first } => format!("this stands in row {first} already"),
            Self::NoneOf { text, choices } => format!("{text:?} is none of {}", choices.join(", ")),
            Self::NotADate(text) => format!("{text:?} is no date: write it like 2020/12/1"),
            Self::NotANumber(text) => format!("{text:?} is no whole number"),
            Self::NotANetwork(text) => format!("{text:?} is no address or network: write it like 192.0.2.0/24"),
            Self::NotADevice(text) => format!("{text:?} is no device id: use a-z, 0-9, '.', '_' and '-'"),
            Self::ReasonMissing => "out of scope (対象外) needs a reason: fill it in".into(),
            Self::Unencodable { character, encoding } => format!(
                "{character:?} (U+{:04X}) does not exist in {encoding}: export as UTF-8 or ask for replacement",
                u32::from(*character)
            ),
        }
    }
}
