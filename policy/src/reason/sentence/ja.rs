//! Reasons in Japanese, in the terms of the hospital's own forms: one table, so that a reader sees all of them side by side.

use crate::factor::FactorKind;
use crate::facts::{Language, LockScope, Status};
use crate::reason::{Allowlist, Reason};
use chrono::DateTime;
use chrono_tz::Tz;

pub(in crate::reason) fn japanese(reason: &Reason) -> String {
    match reason {
        Reason::PersonUnknown => "この個人IDは登録されていません。システム運用担当者に登録を依頼してください。".to_owned(),
        Reason::PersonInactive { person, status } => {
            format!("個人ID {person} は{}されています。システム運用担当者に確認してください。", of(*status))
        }
        Reason::HospitalStaff { person } => format!(
            "{person} は病院の職員です。機器への保守接続は事業者の保守要員だけに許可されます。必要な場合は企画管理者に相談してください。"
        ),
        Reason::RolesMixed { person } => format!(
            "{person} には事業者の所属と病院側の役割が同時に登録されており、両立できません。システム運用担当者に訂正を依頼してください。"
        ),
        Reason::VendorUnknown { vendor } => {
            format!("事業者 {vendor} は登録されていません。システム運用担当者に登録を依頼してください。")
        }
        Reason::VendorInactive { vendor, status } => {
            format!("事業者 {vendor} は{}されています。企画管理者に確認してください。", of(*status))
        }
        Reason::ContractMissing { vendor } => {
            format!("事業者 {vendor} の契約期間が登録されていません。システム運用担当者に登録を依頼してください。")
        }
        Reason::ContractNotBegun { vendor, from } => format!(
            "事業者 {vendor} の契約期間は {} に始まります。誤りであればシステム運用担当者に訂正を依頼してください。",
            time(from)
        ),
        Reason::ContractEnded { vendor, until } => format!(
            "事業者 {vendor} の契約期間は {} に終了しました。更新済みであればシステム運用担当者に登録を依頼してください。",
            time(until)
        ),
        Reason::SourceUnlisted { source } => format!(
            "接続元 {source} を許可する接続元制限が、事業者・保守要員・機器のいずれにも設定されていません。システム運用担当者に設定を依頼してください。"
        ),
        Reason::SourceRefused { source, list } => format!(
            "接続元 {source} は{}の許可接続元に含まれていません。登録済みのネットワークから接続するか、システム運用担当者に追加を依頼してください。",
            match list {
                Allowlist::Vendor => "事業者",
                Allowlist::Person => "保守要員",
                Allowlist::Device => "機器",
            }
        ),
        Reason::FactorKinds { proved } => {
            let proved: Vec<FactorKind> = proved.iter().copied().collect();
            let (found, add) = match proved.as_slice() {
                [FactorKind::Possession] => (
                    "物理媒体のみ。SSH鍵とワンタイムコードはどちらも物理媒体です",
                    "パスワードでも認証してください。",
                ),
                [FactorKind::Knowledge] => ("記憶のみ", "ワンタイムコードかSSH鍵でも認証してください。"),
                _ => ("なし", "パスワードと、ワンタイムコードかSSH鍵で認証してください。"),
            };
            format!("種類の異なる二つの認証要素が必要です（確認できた要素：{found}）。{add}")
        }
        Reason::FactorDemanded { method } => format!(
            "この病院では{}による認証も必要です。{0}で認証してください。未登録の場合はシステム運用担当者に登録を依頼してください。",
            method.label(Language::Ja)
        ),
        Reason::FactorsOld { minutes } => format!("認証から{minutes}分を過ぎました。もう一度認証してください。"),
        Reason::SignInEnded { until } => {
            format!("認証の有効期間は {} に終了しました。もう一度認証してください。", time(until))
        }
        Reason::FactorsInFuture => {
            "認証の時刻が現在より後になっています。システム運用担当者に時計の確認を依頼してください。".to_owned()
        }
        Reason::AttestationMissing { person } => format!(
            "{person} の接続端末の安全確認が登録されていません。所属する事業者かシステム運用担当者に登録を依頼してください。"
        ),
        Reason::AttestationExpired { expired } => format!(
            "接続端末の安全確認は {} に期限切れになりました。端末を確認し、改めて登録してください。",
            time(expired)
        ),
        Reason::AttestationInFuture { made } => format!(
            "接続端末の安全確認は {} から有効です。改めて登録してください。",
            time(made)
        ),
        Reason::TerminalUnpatched => {
            "接続端末がサポート内で最新パッチ適用済みであることを確認できません。更新のうえ、安全確認を改めて登録してください。".to_owned()
        }
        Reason::TerminalUnscanned => {
            "接続端末でマルウェアの検出が無いことを確認できません。検査のうえ、安全確認を改めて登録してください。".to_owned()
        }
        Reason::DeviceUnknown => {
            "この名称の機器は登録されていません。名称を確かめるか、システム運用担当者に確認してください。".to_owned()
        }
        Reason::DeviceInactive { device, status } => {
            format!("機器 {device} は{}されています。システム運用担当者に確認してください。", of(*status))
        }
        Reason::AccountMissing { device } => {
            format!("機器 {device} にはアカウントが登録されていません。システム運用担当者に登録を依頼してください。")
        }
        Reason::AccountUnknown { device, account } => format!(
            "機器 {device} にアカウント「{}」はありません。名称を確かめるか、システム運用担当者に確認してください。",
            account.escape_debug()
        ),
        Reason::WorkMissing { person, device } => format!(
            "{person} と機器 {device} を対象とする作業申請がありません。作業を申請し、企画管理者の承認を受けてください。"
        ),
        Reason::PersonNotNamed { work, person } => format!(
            "有効な作業 {work} の保守要員に {person} が含まれていません。申請を変更し、改めて承認を受けてください。"
        ),
        Reason::DeviceNotNamed { work, device } => format!(
            "有効な作業 {work} の対象に機器 {device} が含まれていません。申請を変更し、改めて承認を受けてください。"
        ),
        Reason::AccountNotNamed { work, account } => format!(
            "作業 {work} ではアカウント「{}」を使えません。別のアカウントを使うか、申請を変更して改めて承認を受けてください。",
            account.escape_debug()
        ),
        Reason::ChannelsDisjoint { work, asked } => format!(
            "作業 {work} で申請された接続方法（{}）は、この機器ではいずれも許可されていません。申請を変更するか、システム運用担当者に確認してください。",
            asked.iter().map(ToString::to_string).collect::<Vec<_>>().join("、")
        ),
        Reason::WorkNotApproved { work } => {
            format!("作業 {work} は承認されていません。企画管理者の承認を受けてください。")
        }
        Reason::WorkRejected { work } => {
            format!("作業 {work} は却下されました。申請を変更するか、企画管理者に理由を確認してください。")
        }
        Reason::WorkWithdrawn { work } => format!("作業 {work} は取り消されました。新たに作業を申請してください。"),
        Reason::WorkCutOff { work } => format!("作業 {work} は病院により遮断されました。企画管理者に確認してください。"),
        Reason::WorkReported { work } => {
            format!("作業 {work} は報告済みのため、この時間帯の作業は終了しています。新たに作業を申請してください。")
        }
        Reason::RetrospectiveApprovalOverdue { work, deadline } => format!(
            "作業 {work} の緊急接続は、期限の {} までに事後承認されませんでした。企画管理者に承認を依頼してください。",
            time(deadline)
        ),
        Reason::WindowNotOpen { work, opens } => format!(
            "作業 {work} の作業時間帯は {} に始まります。早める場合は申請を変更してください。",
            time(opens)
        ),
        Reason::WindowOver { work, closed } => format!(
            "作業 {work} の作業時間帯は {} に終了しました。新たに作業を申請してください。",
            time(closed)
        ),
        Reason::Locked { scope, why, until } => {
            let until = until.as_ref().map_or_else(String::new, |until| format!("（{} まで）", time(until)));
            format!(
                "{}に対する非常時遮断が行われています{until}。理由：{why}。解除は医療情報システム安全管理責任者か企画管理者が行います。",
                locked(scope)
            )
        }
        Reason::WorkUnreviewed { work, due } => format!(
            "以前の作業 {work} が照合・確認の期限（{}）を過ぎています。報告と照合・確認が済むまで次の作業はできません。企画管理者に確認してください。",
            time(due)
        ),
    }
}

fn time(at: &DateTime<Tz>) -> String {
    at.format("%Y年%-m月%-d日 %H:%M %Z").to_string()
}

fn of(status: Status) -> &'static str {
    match status {
        Status::Active => "利用可能と",
        Status::Suspended => "一時停止",
        Status::Retired => "廃止",
    }
}

fn locked(scope: &LockScope) -> String {
    match scope {
        LockScope::Everyone => "すべての接続".to_owned(),
        LockScope::Vendor(vendor) => format!("事業者 {vendor} "),
        LockScope::Person(person) => format!("保守要員 {person} "),
        LockScope::Device(device) => format!("機器 {device} "),
    }
}
