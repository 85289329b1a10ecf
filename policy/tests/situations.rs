//! The situations of the matrix in `decisions.txt`.

use crate::hospital::*;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use sekimori_policy::facts::{Attestation, Channel, Facts, HospitalRole, Lock, LockScope, Method, Period, Status};
use sekimori_policy::window::Window;
use sekimori_policy::work::{Request, Transition, Work};
use std::collections::BTreeSet;

/// A situation, in words and in facts.
pub struct Case {
    pub ja: &'static str,
    pub en: &'static str,
    pub now: DateTime<Utc>,
    pub facts: Facts,
}

/// A situation at midnight, which differs from the hospital's by `change`.
fn case(ja: &'static str, en: &'static str, change: impl FnOnce(&mut Facts)) -> Case {
    timed(ja, en, midnight(), change)
}

fn timed(ja: &'static str, en: &'static str, now: DateTime<Utc>, change: impl FnOnce(&mut Facts)) -> Case {
    let mut facts = facts();
    facts.factors.proved_at = now - TimeDelta::minutes(10);
    change(&mut facts);
    Case { ja, en, now, facts }
}

/// Every situation, by section.
pub fn sections() -> Vec<(&'static str, Vec<Case>)> {
    vec![
        ("保守要員と事業者 / person and vendor", people()),
        ("接続元 / source", sources()),
        ("認証要素 / factors", factors()),
        ("接続端末の安全確認 / attestation", attestations()),
        ("機器とアカウント / device and account", devices()),
        ("作業時間帯 / window", windows()),
        ("繰り返しの作業時間帯 / recurring window", recurring()),
        ("作業申請の状態 / state of the work", states()),
        ("緊急接続 / emergency access", emergencies()),
        ("非常時遮断 / incident lock", locks()),
        ("照合・確認の遅れ / overdue review", reviews()),
        ("複数の理由と複数の作業 / several reasons, several works", several()),
    ]
}

fn people() -> Vec<Case> {
    vec![
        case("すべて揃っている", "everything is in order", |_| {}),
        case("個人IDが登録されていない", "the person is unknown", |f| f.person = None),
        case("保守要員が一時停止中", "the person is suspended", |f| person(f).status = Status::Suspended),
        case("病院の職員が接続を試みた", "hospital staff try to connect", |f| f.person = Some(approver())),
        case("保守要員が病院側の役割を持つ", "a vendor's person holds a hospital role", |f| {
            person(f).roles = BTreeSet::from([HospitalRole::Approver]);
        }),
        case("事業者が登録されていない", "the vendor is unknown", |f| f.vendor = None),
        case("別の事業者の情報しかない", "the vendor found is another", |f| vendor(f).id = parsed("other")),
        case("事業者が廃止されている", "the vendor is retired", |f| vendor(f).status = Status::Retired),
        case("契約期間が未登録", "no contract period", |f| vendor(f).contract = None),
        case("契約開始前", "before the contract", |f| contract(f, "2026-12-01 00:00", "2027-04-01 00:00")),
        case("契約がちょうど終了", "at the contract's end", |f| {
            contract(f, "2026-04-01 00:00", "2026-11-25 00:00")
        }),
        case("契約が時間帯の途中で終わる", "the contract ends within the window", |f| {
            contract(f, "2026-04-01 00:00", "2026-11-25 01:00");
        }),
    ]
}

fn sources() -> Vec<Case> {
    let network = || vec![parsed("198.51.100.0/24")];
    vec![
        case("IPv4射影IPv6アドレスはIPv4として扱う", "an IPv4-mapped IPv6 address is its IPv4", |f| {
            f.source = source("::ffff:192.0.2.7");
        }),
        case("事業者の許可接続元の外", "outside the vendor's list", |f| f.source = source("203.0.113.9")),
        case("保守要員の許可接続元の外", "outside the person's list", |f| person(f).sources = network()),
        case("機器の許可接続元の外", "outside the device's list", |f| {
            f.device.as_mut().unwrap().sources = network();
        }),
        case("許可接続元がどこにも設定されていない", "no list is set", |f| vendor(f).sources.clear()),
        case(
            "保守要員の一覧だけが設定され、含まれる",
            "only the person's list is set and has it",
            |f| {
                vendor(f).sources.clear();
                person(f).sources = vec![parsed("192.0.2.7/32")];
            },
        ),
    ]
}

fn factors() -> Vec<Case> {
    use Method::{Passkey, Password, SshKey, Totp};
    let with = |ja, en, proved: &[Method]| case(ja, en, |f| f.factors.methods = methods(proved));
    vec![
        with("認証なし", "nothing", &[]),
        with("パスワードのみ", "password", &[Password]),
        with("SSH鍵のみ", "SSH key", &[SshKey]),
        with(
            "SSH鍵とワンタイムコード（どちらも物理媒体）",
            "SSH key and one-time code: both possession",
            &[SshKey, Totp],
        ),
        with("SSH鍵とパスワード", "SSH key and password", &[SshKey, Password]),
        with("SSH鍵とパスワードとワンタイムコード", "SSH key, password and one-time code", &[SshKey, Password, Totp]),
        with("パスキー（物理媒体と生体計測）", "passkey: possession and inherence", &[Passkey]),
        case("病院がSSH鍵も求める", "the hospital also demands an SSH key", |f| {
            f.demands.methods = methods(&[SshKey]);
        }),
        case("病院の定める認証の有効時間内", "within the hospital's age of factors", |f| {
            f.demands.factors_max_age_minutes = Some(30);
        }),
        case("認証がちょうど古くなった", "the factors have just grown too old", |f| {
            f.demands.factors_max_age_minutes = Some(10);
        }),
        case("認証の有効期間がちょうど終了", "the carried sign-in has just ended", |f| {
            f.factors.until = Some(midnight());
        }),
        case(
            "認証の有効期間が時間帯の途中で終わる",
            "the carried sign-in ends within the window",
            |f| {
                f.factors.until = Some(at("2026-11-25 00:30"));
            },
        ),
        case("認証の時刻が未来", "the factors come from the future", |f| {
            f.factors.proved_at = at("2026-11-25 00:01");
        }),
    ]
}

fn attestations() -> Vec<Case> {
    let with = |ja, en, given: Attestation| case(ja, en, |f| f.attestations = vec![given]);
    let good = || attestation("2026-11-20 09:00", "2026-12-20 09:00");
    vec![
        case("安全確認なし", "none", |f| f.attestations.clear()),
        with("別人の安全確認", "another person's", Attestation { person: parsed("eng2"), ..good() }),
        with("ちょうど期限切れ", "just expired", attestation("2026-11-20 09:00", "2026-11-25 00:00")),
        with(
            "時間帯の途中で期限切れ",
            "expires within the window",
            attestation("2026-11-20 09:00", "2026-11-25 00:15"),
        ),
        with("まだ始まっていない", "counts later", attestation("2026-11-25 08:00", "2026-12-20 09:00")),
        with(
            "パッチ未適用・未検査",
            "neither patched nor scanned",
            Attestation { patched: false, scanned: false, ..good() },
        ),
        case("後の安全確認が前のものを取り消す", "a later word takes an earlier one back", |f| {
            f.attestations.push(Attestation { scanned: false, ..attestation("2026-11-24 09:00", "2026-12-01 09:00") });
        }),
    ]
}

fn devices() -> Vec<Case> {
    vec![
        case("機器が登録されていない", "the device is unknown", |f| f.device = None),
        case("機器が一時停止中", "the device is suspended", |f| {
            f.device.as_mut().unwrap().status = Status::Suspended;
        }),
        case("登録済みの別のアカウント", "another account of the device", |f| {
            f.account = Some("root".to_owned())
        }),
        case("機器に無いアカウント", "an account that it has not", |f| f.account = Some("guest".to_owned())),
        case("機器にアカウントが一つも無い", "a device without accounts", |f| {
            f.device.as_mut().unwrap().accounts.clear();
        }),
        case("作業が対象としないアカウント", "an account that the work leaves out", |f| {
            let accounts = Some(BTreeSet::from(["root".to_owned()]));
            f.works = vec![approved("w1", Request { accounts, ..request(night()) })];
        }),
        case("接続方法に共通のものが無い", "no channel in common", |f| {
            let channels = BTreeSet::from([Channel::Sftp, Channel::Forward(22)]);
            f.works = vec![approved("w1", Request { channels, ..request(night()) })];
        }),
    ]
}

fn windows() -> Vec<Case> {
    let long = "2026-11-01 09:00";
    let never = |_: &mut Facts| {};
    vec![
        timed(
            "開始の1マイクロ秒前",
            "1 µs before the start",
            at("2026-11-24 22:00") - TimeDelta::microseconds(1),
            never,
        ),
        timed("開始時刻", "at the start", at("2026-11-24 22:00"), never),
        timed("日付をまたいだ後", "after midnight", at("2026-11-25 00:01"), never),
        timed("終了の1マイクロ秒前", "1 µs before the end", at("2026-11-25 02:00") - TimeDelta::microseconds(1), never),
        timed("終了時刻", "at the end", at("2026-11-25 02:00"), never),
        timed("延長後の元の終了時刻", "at the old end, extended by an hour", at("2026-11-25 02:00"), |f| {
            let until = at("2026-11-25 03:00");
            f.works =
                vec![after(&approved("w1", request(night())), Transition::Extend { until }, &approver(), midnight())];
        }),
        timed("延長後の終了時刻", "at the new end", at("2026-11-25 03:00"), |f| {
            let until = at("2026-11-25 03:00");
            f.works =
                vec![after(&approved("w1", request(night())), Transition::Extend { until }, &approver(), midnight())];
        }),
        case("この保守要員と機器の作業が無い", "no work at all", |f| f.works.clear()),
        case("有効な作業が別の保守要員のもの", "the open work is another person's", |f| {
            let persons = BTreeSet::from([parsed("eng2")]);
            f.works = vec![approved("w1", Request { persons, ..request(night()) })];
        }),
        case("有効な作業が別の機器のもの", "the open work is for another device", |f| {
            let devices = BTreeSet::from([parsed("mr-01")]);
            f.works = vec![approved("w1", Request { devices, ..request(night()) })];
        }),
        case("別の事業者の作業", "the work is another vendor's", |f| {
            let mut other = engineer("eng1");
            other.vendor = Some(parsed("other"));
            f.works = vec![Work::draft(parsed("w9"), parsed("other"), request(night()), &other, at(long)).unwrap()];
        }),
    ]
}

fn recurring() -> Vec<Case> {
    // Tuesdays and Thursdays 22:00 to 02:00; Thursday the 26th is excluded.
    let weekly = || {
        let holiday = NaiveDate::from_ymd_opt(2026, 11, 26).unwrap();
        let rule = "FREQ=WEEKLY;BYDAY=TU,TH;COUNT=6";
        let window = Window::recurring(local("2026-11-17 22:00"), local("2026-11-18 02:00"), ZONE, rule, [holiday]);
        approved("w2", request(window.unwrap()))
    };
    let with = |ja, en, now| timed(ja, en, at(now), |f| f.works = vec![weekly()]);
    vec![
        with("2回目の時間帯の中", "in an occurrence", "2026-11-24 23:00"),
        with("日付をまたいだ後", "after midnight", "2026-11-25 01:59"),
        with("その回の終了時刻", "at its end", "2026-11-25 02:00"),
        with("除外日（祝日など）の夜", "in the night of the excluded date", "2026-11-26 23:00"),
        with("除外日の翌週", "in the week after it", "2026-12-01 23:00"),
        with("最後の回の終了後", "after the last", "2026-12-04 02:00"),
    ]
}

fn states() -> Vec<Case> {
    let eng1 = || engineer("eng1");
    let with = |ja, en, work: Work| case(ja, en, |f| f.works = vec![work]);
    let worked = || after(&approved("w1", request(night())), Transition::Begin, &eng1(), at("2026-11-24 22:10"));
    let no = || "計画が不明".to_owned();
    vec![
        with("下書き", "a draft", draft("w1", request(night()))),
        with("申請中", "requested", requested("w1", request(night()))),
        with(
            "却下",
            "rejected",
            after(
                &requested("w1", request(night())),
                Transition::Reject { reason: no() },
                &approver(),
                at("2026-11-02 09:00"),
            ),
        ),
        with(
            "取消",
            "withdrawn",
            after(&approved("w1", request(night())), Transition::Withdraw, &eng1(), at("2026-11-03 09:00")),
        ),
        with(
            "遮断",
            "cut off",
            after(&worked(), Transition::CutOff { reason: no() }, &safety_manager(), at("2026-11-24 23:00")),
        ),
        with(
            "承認後に変更された申請",
            "edited after its approval",
            after(
                &approved("w1", request(night())),
                Transition::Edit(Box::new(request(night()))),
                &eng1(),
                at("2026-11-03 09:00"),
            ),
        ),
        with("作業中", "working", worked()),
        with(
            "終了を告げたが報告前（再接続できる）",
            "ended, not reported: may come back",
            after(&worked(), Transition::End, &eng1(), at("2026-11-24 23:00")),
        ),
        with("報告済み", "reported", after(&worked(), report(), &eng1(), at("2026-11-24 23:00"))),
    ]
}

fn emergencies() -> Vec<Case> {
    let deadline = || at("2026-11-25 01:00");
    let opened = || emergency("w1", request(night()), deadline());
    let with = |ja, en, now, work: Work| timed(ja, en, now, |f| f.works = vec![work]);
    let approved_late = after(&opened(), Transition::ApproveRetrospectively, &safety_manager(), at("2026-11-25 00:30"));
    let rejected = Transition::RejectRetrospectively { reason: "不要".to_owned() };
    vec![
        with("事後承認待ち", "awaiting retrospective approval", midnight(), opened()),
        with("事後承認の期限", "at the approval's deadline", deadline(), opened()),
        with("事後承認済み", "approved after the fact", deadline(), approved_late),
        with(
            "事後承認されなかった",
            "rejected after the fact",
            midnight(),
            after(&opened(), rejected, &safety_manager(), at("2026-11-24 23:30")),
        ),
    ]
}

fn locks() -> Vec<Case> {
    let since = || at("2026-11-24 23:00");
    let with = |ja, en, given: Lock| case(ja, en, |f| f.locks = vec![given]);
    vec![
        with("全員の遮断", "everyone", lock(LockScope::Everyone, since())),
        with("この事業者の遮断", "this vendor", lock(LockScope::Vendor(parsed("acme")), since())),
        with("この保守要員の遮断", "this person", lock(LockScope::Person(parsed("eng1")), since())),
        with("この機器の遮断", "this device", lock(LockScope::Device(parsed("ct-01")), since())),
        with("別の事業者の遮断", "another vendor", lock(LockScope::Vendor(parsed("other")), since())),
        with(
            "全員の遮断、調査作業だけを除く",
            "everyone but this investigation",
            Lock { except: Some(parsed("w1")), ..lock(LockScope::Everyone, since()) },
        ),
        with(
            "終了時刻に達した遮断",
            "a lock that has just ended",
            Lock { until: Some(midnight()), ..lock(LockScope::Everyone, since()) },
        ),
        with(
            "終了時刻の決まった遮断",
            "a lock with an end",
            Lock { until: Some(at("2026-11-25 08:00")), ..lock(LockScope::Everyone, since()) },
        ),
        with("予告された遮断", "an announced lock", lock(LockScope::Everyone, at("2026-11-25 00:45"))),
    ]
}

/// Work of 10 November that nobody reviewed: its review was due on the 17th at 23:00, or later if `days` says so.
fn unreviewed(days: u16) -> Work {
    let window = Window::once(local("2026-11-10 22:00"), local("2026-11-10 23:00"), ZONE).unwrap();
    let work = approved("w0", Request { review_days: days, ..request(window) });
    after(&work, Transition::Begin, &engineer("eng1"), at("2026-11-10 22:05"))
}

fn reviews() -> Vec<Case> {
    let eng1 = engineer("eng1");
    let reported = after(&unreviewed(7), report(), &eng1, at("2026-11-11 09:00"));
    let confirm = Transition::Confirm { comment: "計画どおり".to_owned() };
    let reviewed = after(&reported, confirm, &approver(), at("2026-11-12 09:00"));
    vec![
        case("以前の作業が期限までに確認されていない", "earlier work is past its review", |f| {
            f.works.push(unreviewed(7))
        }),
        case("報告だけで確認が済んでいない", "reported and not reviewed", |f| f.works.push(reported)),
        case("確認済み", "reviewed", |f| f.works.push(reviewed)),
        case(
            "期限が時間帯の開始後に来た（始まった作業は続けられる）",
            "due after this window had opened: it goes on",
            |f| {
                f.works.push(due_at_half_past_eleven());
            },
        ),
    ]
}

/// Its review was due on 24 November at 23:30, after the window of 22:00 had opened.
fn due_at_half_past_eleven() -> Work {
    let window = Window::once(local("2026-11-17 22:00"), local("2026-11-17 23:30"), ZONE).unwrap();
    after(&approved("w0", request(window)), Transition::Begin, &engineer("eng1"), at("2026-11-17 22:05"))
}

fn several() -> Vec<Case> {
    vec![
        case("何もかも足りない", "nothing is in order", |f| {
            person(f).status = Status::Suspended;
            vendor(f).status = Status::Suspended;
            contract(f, "2025-04-01 00:00", "2026-04-01 00:00");
            f.source = source("203.0.113.9");
            f.factors.methods = methods(&[Method::Totp]);
            f.attestations.clear();
            f.device.as_mut().unwrap().status = Status::Retired;
            f.account = Some("guest".to_owned());
            f.works = vec![requested("w1", request(night())), unreviewed(7)];
            f.locks = vec![lock(LockScope::Everyone, at("2026-11-24 23:00"))];
        }),
        case("誰も、何も分からない", "nothing is known", |f| {
            (f.person, f.vendor, f.device) = (None, None, None);
        }),
        case("二つの作業のうち遅く終わる方", "of two works, the one that ends later", |f| {
            let late = Window::once(local("2026-11-24 20:00"), local("2026-11-25 04:00"), ZONE).unwrap();
            f.works.push(approved("w2", request(late)));
        }),
        case(
            "承認待ちの作業があっても有効な作業が優先",
            "an open work beside one that waits",
            |f| {
                f.works.insert(0, requested("w0", request(night())));
            },
        ),
        case("どの作業も許可しない", "neither of two works permits", |f| {
            let later = Window::once(local("2026-11-26 22:00"), local("2026-11-27 02:00"), ZONE).unwrap();
            f.works = vec![requested("w1", request(night())), approved("w2", request(later))];
        }),
    ]
}

fn person(facts: &mut Facts) -> &mut sekimori_policy::facts::Person {
    facts.person.as_mut().unwrap()
}

fn vendor(facts: &mut Facts) -> &mut sekimori_policy::facts::Vendor {
    facts.vendor.as_mut().unwrap()
}

fn contract(facts: &mut Facts, from: &str, until: &str) {
    vendor(facts).contract = Some(Period { from: at(from), until: at(until) });
}
