//! The words that some columns choose from, in the material's own Japanese, and the dates as hospitals write them.

use chrono::NaiveDate;
use serde::de::{DeserializeOwned, IntoDeserializer};
use serde::{Deserialize, Serialize};

/// A column's word out of a fixed list.
pub(super) trait Choice: Sized + Copy + DeserializeOwned + 'static {
    /// Every choice, in the order of the material.
    const ALL: &'static [Self];

    /// As written on screens and in files.
    fn ja(self) -> &'static str;

    /// Other spellings that mean the same.
    fn aliases(self) -> &'static [&'static str];

    /// The choice that a cell names, in words or by the code that `--json` shows: width and surrounding blanks do not
    /// matter.
    fn named(text: &str) -> Option<Self> {
        let text = narrow(text);
        let names = |choice: &Self| std::iter::once(choice.ja()).chain(choice.aliases().iter().copied());
        let worded = Self::ALL.iter().copied().find(|choice| names(choice).any(|name| narrow(name) == text));
        let code = text.as_str().into_deserializer();
        worded.or_else(|| Self::deserialize(code).map_err(|_: serde::de::value::Error| ()).ok())
    }
}

macro_rules! choices {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $ja:literal $(, aka $($alias:literal)|+)?;)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// As written on screens and in files.
            #[must_use]
            pub fn ja(self) -> &'static str {
                match self { $(Self::$variant => $ja,)* }
            }
        }

        impl Choice for $name {
            const ALL: &'static [Self] = &[$(Self::$variant,)*];

            fn ja(self) -> &'static str {
                $name::ja(self)
            }

            fn aliases(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &[$($($alias,)+)?],)* }
            }
        }
    };
}

choices! {
    /// リモート保守の有無: whether equipment is maintained, or can be maintained, from outside.
    Presence {
        /// It is.
        Yes = "有", aka "あり" | "有り" | "○" | "〇";
        /// It is not, and the vendor has said so.
        No = "無", aka "なし" | "無し" | "×";
        /// Nobody has asked, or nobody has answered.
        Unconfirmed = "未確認";
    }
}

choices! {
    /// 機器種別: the kind of equipment.
    DeviceType {
        /// A workstation.
        Pc = "PC", aka "パソコン";
        /// A server.
        Server = "サーバ", aka "サーバー";
        /// Network storage.
        Storage = "ストレージ";
        /// Tape drives and external disks.
        ExternalDisk = "テープ・外部ディスク", aka "テープ装置・外部ディスク";
        /// Tablets and telephones.
        Tablet = "タブレット・携帯端末";
        /// Monitors.
        Monitor = "モニター", aka "モニタ";
        /// Routers, firewalls, switches.
        Network = "ネットワーク機器";
        /// Medical devices.
        Medical = "医療機器";
    }
}

choices! {
    /// 対象区分: why equipment belongs in the ledger, or does not.
    ScopeClass {
        /// Medical information arises in it.
        Originates = "医療情報が発生する", aka "発生する";
        /// Medical information is looked up with it.
        Refers = "参照する", aka "医療情報を参照する";
        /// It is tied to personal information.
        Personal = "個人情報に紐づく";
        /// Out of scope, with a reason.
        Outside = "対象外";
    }
}

choices! {
    /// 経路種別: how the vendor gets in.
    RouteKind {
        /// A leased line.
        LeasedLine = "専用線";
        /// A closed network.
        ClosedNetwork = "閉域網";
        /// IPsec.
        IpsecVpn = "IPsec-VPN";
        /// SSL-VPN.
        SslVpn = "SSL-VPN";
        /// A mobile router with a SIM.
        Mobile = "モバイル(SIM)";
        /// A relay in the cloud.
        CloudRelay = "クラウド中継";
        /// This gateway.
        Gateway = "本ゲートウェイ";
        /// Something else.
        Other = "その他";
    }
}

choices! {
    /// ゲートウェイ経由: how much of the maintenance comes through this gateway.
    ViaGateway {
        /// All of it.
        All = "全て", aka "すべて";
        /// Some of it.
        Some = "一部";
        /// None of it.
        None = "無", aka "なし" | "無し";
    }
}

choices! {
    /// ID種別: whether one person or several sign in with an ID.
    IdKind {
        /// One human, one ID.
        Personal = "個人";
        /// Shared.
        Shared = "共用", aka "共有";
    }
}

choices! {
    /// 開示書の版: the guideline that a disclosure (MDS/SDS) answers to.
    DisclosureEdition {
        /// Published on 2024-09-12.
        V6 = "6.0版対応", aka "6.0版" | "6.0";
        /// The older form, which is accepted meanwhile.
        V5 = "旧5.2版ベース", aka "5.2版" | "5.2";
    }
}

/// A date as somebody wrote it. What was written is kept, and read where it is needed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WrittenDate(String);

impl WrittenDate {
    /// Keeps a date as it is written, whether or not it can be read.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The day, if it can be read: `2020/12/1`, `2020-12-01`, `2020.12.1`, `2020年12月1日`, `令和2年12月1日`, `R2.12.1`,
    /// with or without a time behind it, in wide or narrow digits.
    #[must_use]
    pub fn date(&self) -> Option<NaiveDate> {
        let text = narrow(&self.0);
        let mut words = text.split_whitespace();
        let day = words.next()?;
        if words.any(|word| !word.chars().all(|letter| letter.is_ascii_digit() || letter == ':')) {
            return None;
        }
        let (first_year, day) = era(day);
        let day = day.strip_suffix('日').unwrap_or(day);
        let mut numbers = day.split(['/', '-', '.', '年', '月']);
        let year: i32 = match numbers.next()? {
            "元" if first_year.is_some() => 1,
            year => year.parse().ok()?,
        };
        let (month, day) = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
        let year = first_year.map_or(Some(year), |first| year.checked_sub(1)?.checked_add(first))?;
        // A year of two digits could be anybody's era: it is not guessed.
        if numbers.next().is_some() || !(1900..2200).contains(&year) {
            return None;
        }
        NaiveDate::from_ymd_opt(year, month, day)
    }
}

/// The first year of the era that a date begins with, and the rest of the date.
fn era(text: &str) -> (Option<i32>, &str) {
    let eras = [("令和", 2019), ("R", 2019), ("平成", 1989), ("H", 1989), ("昭和", 1926), ("S", 1926)];
    eras.into_iter()
        .find_map(|(name, first)| text.strip_prefix(name).map(|rest| (Some(first), rest)))
        .unwrap_or((None, text))
}

/// Wide ASCII (ＩＰ) as narrow (IP), without surrounding blanks: for comparing, never for keeping.
pub(super) fn narrow(text: &str) -> String {
    let narrowed: String = text
        .chars()
        .map(|letter| match letter {
            '\u{3000}' => ' ',
            '\u{ff01}'..='\u{ff5e}' => u32::from(letter).checked_sub(0xfee0).and_then(char::from_u32).unwrap_or(letter),
            other => other,
        })
        .collect();
    narrowed.trim().to_owned()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dates_are_read_as_hospitals_write_them() {
        let december = NaiveDate::from_ymd_opt(2020, 12, 1).unwrap();
        for text in [
            "2020/12/1",
            "2020/12/01",
            "2020-12-01",
            "2020.12.1",
            "2020年12月1日",
            "２０２０／１２／１",
            " 2020/12/1 0:00 ",
            "2020/12/1 00:00:00",
            "令和2年12月1日",
            "R2.12.1",
        ] {
            assert_eq!(WrittenDate::new(text).date(), Some(december), "{text}");
        }
        assert_eq!(WrittenDate::new("令和元年5月1日").date(), NaiveDate::from_ymd_opt(2019, 5, 1));
        assert_eq!(WrittenDate::new("H26.10.1").date(), NaiveDate::from_ymd_opt(2014, 10, 1));
        for text in
            ["", "不明", "2020年頃", "20/12/1", "2020/13/1", "2021/2/29", "2020/12", "2020/12/1/1", "2020/12/1 頃"]
        {
            assert_eq!(WrittenDate::new(text).date(), None, "{text}");
        }
    }

    #[test]
    fn words_are_found_in_any_width() {
        assert_eq!(DeviceType::named(" ＰＣ "), Some(DeviceType::Pc));
        assert_eq!(DeviceType::named("サーバー"), Some(DeviceType::Server));
        assert_eq!(RouteKind::named("モバイル（SIM）"), Some(RouteKind::Mobile));
        assert_eq!(Presence::named("不明"), None);
    }

    #[test]
    fn words_are_found_by_their_codes_as_well() {
        assert_eq!(Presence::named("unconfirmed"), Some(Presence::Unconfirmed));
        assert_eq!(RouteKind::named("ｉｐｓｅｃ_vpn "), Some(RouteKind::IpsecVpn));
        for choice in ViaGateway::ALL {
            let code = serde_json::to_value(choice).unwrap();
            assert_eq!(ViaGateway::named(code.as_str().unwrap()), Some(*choice), "{code}");
        }
        assert_eq!((Presence::named("maybe"), Presence::named("\"yes\"")), (None, None));
    }

    proptest! {
        #[test]
        fn any_text_is_a_date_or_none(text in ".*") {
            let _ = WrittenDate::new(&text).date();
        }
    }
}
