//! Every text of the console, in both languages side by side: a key that one of them lacks does not compile.

macro_rules! texts {
    ($($key:ident: $ja:literal, $en:literal;)*) => {
        /// The texts of one language.
        pub struct Texts {
            $(#[doc = $en] pub $key: &'static str,)*
        }

        impl Texts {
            /// The texts of a language.
            #[must_use]
            pub fn of(language: sekimori_policy::facts::Language) -> &'static Self {
                match language {
                    sekimori_policy::facts::Language::Ja => &JA,
                    sekimori_policy::facts::Language::En => &EN,
                }
            }
        }

        const JA: Texts = Texts { $($key: $ja,)* };
        const EN: Texts = Texts { $($key: $en,)* };

        #[cfg(test)]
        pub const ALL: &[(&str, &str, &str)] = &[$((stringify!($key), $ja, $en)),*];
    };
}

pub(super) use texts;

pub mod calendar;
pub mod evidence;
pub mod joining;
pub mod mails;
pub mod passkeys;
pub mod system;
pub mod terminal;

impl Texts {
    /// Where the navigation may lead, in its order.
    #[must_use]
    pub fn places(&self) -> Vec<(&'static str, &'static str)> {
        vec![
            ("/my-devices", self.my_devices),
            ("/inbox", self.inbox),
            ("/live", self.live),
            ("/reviews", self.reviews),
            ("/calendar", self.calendar),
            ("/works", self.works),
            ("/attestation", self.attestation),
            ("/sessions", self.sessions),
            ("/devices", self.devices),
            ("/people", self.people),
            ("/vendors", self.vendors),
            ("/locks", self.locks),
            ("/mails", self.mails),
            ("/sign-ins", self.all_sign_ins),
            ("/system", self.system),
            ("/account", self.account),
        ]
    }
}

texts! {
    product: "関守", "Sekimori";
    mails: "通知メール", "Mail";
    system: "稼働状況", "System";
    skip: "本文へ移動", "Skip to content";
    navigation: "メニュー", "Menu";
    other_language: "English", "日本語";
    other_language_tag: "en", "ja";
    zone_note: "時刻はすべて病院の時間帯で表示しています:", "All times are in the hospital's zone:";
    none: "なし", "none";
    back: "戻る", "Back";

    sign_in: "サインイン", "Sign in";
    sign_in_lead: "病院から発行された利用者IDで入ってください。ここでの操作はすべて記録されます。", "Use the ID that the hospital gave you. Everything here is recorded.";
    sign_in_failed: "サインインできませんでした。利用者ID、パスワード、確認コードを確かめてください。確認コードは一度しか使えません。", "You could not be signed in. Check ID, password and code. A code counts only once.";
    person_id: "利用者ID", "Your ID";
    password: "パスワード", "Password";
    code: "確認コード（6桁）", "One-time code (6 digits)";
    code_hint: "認証アプリに表示される数字です。30秒ごとに変わります。", "The digits that your authenticator app shows. They change every 30 seconds.";
    seen_from: "接続元アドレス:", "You come from:";
    sign_out: "サインアウト", "Sign out";

    account: "アカウント", "Account";
    all_sign_ins: "サインイン一覧", "Sign-ins";
    all_sign_ins_lead: "いまコンソールに入っている人の一覧です。終了させると、次の操作から使えなくなります。", "Everybody who is signed in to the console. A sign-in that is ended is refused from its next request on.";
    own_sign_ins: "あなたのサインイン", "Your sign-ins";
    own_sign_ins_lead: "覚えのないサインインがあれば、すぐに終了させて病院に連絡してください。", "End any that you do not recognise, and tell the hospital.";
    name: "名前", "Name";
    roles: "役割", "Roles";
    vendor: "事業者", "Vendor";
    source: "接続元", "From";
    browser: "ブラウザ", "Browser";
    since: "開始", "Since";
    last_used: "最終利用", "Last used";
    action: "操作", "Action";
    this_one: "この画面", "this one";
    end: "終了させる", "End";
    no_sign_ins: "サインイン中の人はいません。", "Nobody is signed in.";

    not_found: "ページが見つかりません", "Not found";
    not_found_text: "そのページ、またはその名前のものはありません。一覧から選び直してください。", "There is no such page, or nothing of that name. Choose it from a list.";
    forbidden: "この操作は許可されていません", "This is not yours to do";
    forbidden_text: "あなたの役割ではこのページを使えません。必要であれば、病院のシステム運用担当者に役割を確認してください。この操作は記録されました。", "Your roles do not include this page. If you need it, ask the hospital's operator of the gateway about your roles. The attempt is on record.";
    refused_text: "次の理由で実行されませんでした。", "It was not done, for this reason.";
    elsewhere: "この画面から送られたものではありません", "This was not sent from here";
    elsewhere_text: "他のページから送られたため、実行しませんでした。画面を開き直して、もう一度送ってください。", "It came from another page, so nothing was done. Open the page again and send it from there.";
    invalid: "入力を確かめてください", "Check what was typed";
    invalid_text: "この内容では受け付けられません。戻って直してください。入力した内容は残っています。", "It cannot be taken like this. Go back and correct it; what you typed is kept.";
    conflict: "先に変更されています", "It has changed meanwhile";
    conflict_text: "ほかの人が先に変更したか、いまの状態では実行できません。いまの状態を確かめて、必要ならやり直してください。", "Somebody else was faster, or its state does not allow this now. Look at it again, and repeat it if it is still needed.";
    too_much: "送信できませんでした", "It could not be taken";
    too_much_text: "内容が大きすぎるか、受信に時間がかかりすぎました。短くして送り直してください。", "The form is too large, or took too long to arrive. Shorten it and send it again.";
    failed: "表示できません", "This cannot be shown";
    failed_text: "ゲートウェイの内部で問題が起きました。何も変更していません。しばらくしてやり直し、続く場合は病院に連絡してください。", "Something failed inside the gateway, and nothing was changed. Try again in a while; if it stays, tell the hospital.";

    signed_out: "サインインの有効期間が過ぎました", "Your sign-in has ended";
    signed_out_text: "入力した内容は残っています。別のタブでサインインしてから、ここで「もう一度送る」を押してください。", "What you typed is kept. Sign in in another tab, then press “Send again” here.";
    sign_in_elsewhere: "別のタブでサインインする", "Sign in in another tab";
    confirm: "もう一度確認してください", "Please confirm";
    confirm_text: "この画面を開いたあとにサインインし直しています。内容を確かめて、もう一度送ってください。", "You have signed in anew since this page was opened. Check the content and send it again.";
    code_wanted: "確認コードが必要です", "A code is needed";
    code_wanted_text: "重要な操作のため、確認コードをもう一度入力してください。入力した内容は残っています。", "This act asks for your second factor once more. What you typed is kept.";
    code_wrong: "確認コードが正しくないか、使用済みです。次のコードが表示されるのを待って入力してください。", "The code is wrong or was used already. Wait for the next one.";
    send_again: "もう一度送る", "Send again";
    what_was_typed: "入力した内容", "What you typed";

    calendar: "予定表", "Calendar";
    works: "作業", "Work";
    works_lead: "作業申請とその状態の一覧です。", "Requests for work, and how each stands.";
    no_works: "作業はまだありません。", "There is no work yet.";
    older: "これより前", "Older ones";
    further: "次の一覧", "Next page";
    inbox: "承認待ち", "To decide";
    inbox_lead: "病院の判断を待っている申請です。内容を開いて、承認または却下してください。", "Requests that wait for the hospital. Open one to approve or reject it.";
    inbox_empty: "判断を待っている申請はありません。", "Nothing waits for a decision.";
    reviews: "照合待ち", "To review";
    reviews_lead: "終了した作業のうち、照合・確認がまだのものです。期限を過ぎると、その事業者の次の作業は開きません。", "Work that was done and is not reviewed yet. Past its deadline, that vendor's next window stays shut.";
    reviews_empty: "照合を待っている作業はありません。", "Nothing waits for a review.";
    work: "作業", "Work";
    state: "状態", "State";
    devices: "機器", "Devices";
    device: "機器", "Device";
    persons: "保守要員", "Persons";
    person: "利用者", "Person";
    window: "作業時間帯", "Window";
    purpose: "目的", "Purpose";
    plan: "作業計画", "Plan";
    plan_hint: "手順、持ち込むファイル、影響を順に書いてください。", "The steps in order, files that you bring, what they affect.";
    copy: "この内容で新しく申請する", "Request the same again";
    emergency: "緊急接続です。事後承認を待っています。", "Emergency access: its approval is still to follow.";
    asked: "申請内容", "What is asked for";
    channels: "接続方法", "Channels";
    accounts: "機器のアカウント", "Accounts on the device";
    account_on_device: "アカウント", "Account";
    more_times: "ほかの回数:", "More times:";
    personal_data: "個人情報", "Personal data";
    expected: "アクセスする予定", "expected to be accessed";
    not_expected: "アクセスしない予定", "not expected to be accessed";
    attendance: "立会い", "Attendance";
    you_attend: "立会い中です。このページを閉じると、他に立会者がいなければ、入力は機器に送られなくなります。", "You attend. When you leave this page, what is sent is held unless somebody else attends.";
    unattended: "立会い待ちです。立会者が見始めるまで、入力は機器に送られません。", "Waits for somebody to attend: until then, what is sent is held.";
    attend: "立ち会う", "Attend";
    attended: "必要（立会者が見ている間だけ操作できます）", "needed: nothing goes on while nobody attends";
    not_attended: "不要", "not needed";
    attendance_condition: "立会いを条件とする", "On the condition that somebody of the hospital attends";
    requested_by: "申請者", "Requested by";
    version: "版", "version";
    decide: "判断", "Decide";
    approve: "承認する", "Approve";
    reject: "却下する", "Reject";
    approve_after: "事後承認する", "Approve after the fact";
    reject_after: "事後承認しない（接続を終了）", "Refuse, and end the access";
    open_emergency: "承認の前に緊急接続を開始する（24時間以内に、別の人の事後承認が必要）", "Open it in an emergency, before the approval (somebody else has to approve it within 24 hours)";
    why_urgent: "待てない理由", "Why it cannot wait";
    reason_for_vendor: "理由（事業者に表示されます）", "Reason (the vendor reads it)";
    reason_for_person: "理由（接続中の人に表示されます）", "Reason (the person who is connected reads it)";
    ways: "接続のしかた", "How to connect";
    way_shell: "端末", "A shell";
    way_jump: "ProxyJump（踏み台）", "By ProxyJump";
    way_exec: "コマンド実行", "One command";
    way_files: "ファイル転送（SFTP）", "Files (SFTP)";
    way_scp: "旧方式のファイル転送（scp -O）", "Files the old way (scp -O)";
    way_port: "ポート転送", "A port";
    round: "計画と実績", "Plan and what happened";
    planned: "計画", "Planned";
    happened: "実績", "Happened";
    operators: "作業した人", "Who operated";
    unplanned: "計画外", "not planned";
    report: "作業報告", "Report";
    no_report: "未提出", "not handed in yet";
    files: "ファイル", "Files";
    sent_back: "差し戻し", "Sent back";
    review: "照合・確認", "Review";
    sessions: "セッション", "Sessions";
    session: "セッション", "Session";
    when: "日時", "When";
    end_reason: "終了理由", "Ended because";
    live_now: "接続中", "live";
    review_lead: "計画と実績を比べ、相違がなければ確認してください。説明が足りなければ差し戻してください。", "Compare the plan with what happened. Confirm it, or send it back where something is missing.";
    found: "照合の結果", "What was found";
    confirm_review: "確認する", "Confirm";
    send_back: "差し戻す", "Send back";
    report_lead: "作業が終わったら報告してください。報告後は、この回の接続はできません。", "Report when you are done. After that, nobody connects in this window any more.";
    what_was_done: "実施した内容", "What was done";
    not_accessed: "アクセスしていない", "None was accessed";
    accessed: "アクセスした", "Some was accessed";
    which_data: "アクセスした個人情報（どの患者・どの項目）", "Which (whose, what)";
    files_brought: "持ち込んだファイル名（カンマ区切り）", "Names of files that you brought (separated by commas)";
    send_report: "報告する", "Send the report";
    personal_data_unsaid: "個人情報にアクセスしたかどうか、した場合はその内容を入力してください。", "Say whether personal data was accessed, and which.";
    change: "変更", "Change";
    new_end: "新しい終了時刻", "New end";
    extend: "延長する", "Extend";
    withdraw: "申請を取り消す", "Withdraw";
    cut_off: "作業を遮断する", "Cut this work off";
    history: "履歴", "History";
    earlier_work: "この事業者の最近の作業", "What this vendor did last";
    overdue: "照合の期限を過ぎた作業があり、確認が済むまでこの事業者の次の作業は開きません:", "Past its review's deadline. Until it is reviewed, this vendor's next window stays shut:";
    no_time: "日時を入力してください（例: 2026-12-01T22:00）。", "Give a date and a time, such as 2026-12-01T22:00.";
    words_missing: "理由または内容を入力してください。", "Say why, or what was done.";

    request: "作業を申請する", "Request work";
    request_lead: "病院が内容を確認し、承認すると、その時間帯だけ接続できます。", "The hospital looks at it. Once it is approved, you can connect in that window.";
    not_taken: "受け付けられませんでした。", "It could not be taken.";
    other_devices: "ほかの機器ID（空白区切り）", "Other devices, by their IDs (separated by blanks)";
    start: "開始", "Start";
    end_time: "終了", "End";
    repeat: "繰り返し", "Again";
    once: "1回だけ", "only once";
    daily: "毎日", "every day";
    weekly: "毎週", "every week";
    how_often: "回数", "How many times";
    channels_hint: "何も選ばなければ、機器が許す方法すべてを申請します。", "With nothing chosen, all that the devices offer is asked for.";
    ports: "転送するポート番号（空白区切り）", "Ports to forward (separated by blanks)";
    also: "その他", "Also";
    personal_data_expected: "個人情報にアクセスする予定がある", "Personal data will probably be accessed";
    attendance_wanted: "病院の立会いを希望する（立会者が見ている間だけ操作できます）", "Somebody of the hospital shall attend (nothing goes on while nobody does)";
    send_request: "申請する", "Send the request";

    my_devices: "担当機器", "My devices";
    no_devices: "担当する機器はまだありません。作業を申請してください。", "You have no devices yet: request work.";
    report_owed: "作業報告が未提出です:", "A report is owed:";
    open_now: "接続できます", "open";
    closed_now: "いまは接続できません", "shut now";
    until: "終了", "until";
    opens_next: "次に開く時間帯:", "Opens next:";
    why_closed: "接続できない理由と、変更できる人", "Why, and who can change it";
    attestation: "接続端末の安全確認", "Your terminal";
    attestation_lead: "接続に使う端末について、あなたの責任で確認してください。有効な確認がないと、どの機器にも接続できません。", "Your word on the terminal that you connect with. Without one that counts, no device opens.";
    valid_until: "有効期限", "valid until";
    not_attested: "有効な確認がありません。", "there is no word that counts.";
    attest_now: "確認する", "Give your word";
    patched: "OSとソフトウェアはサポート期間内で、最新の更新を適用しています。", "OS and software are within support and patched.";
    scanned: "マルウェア検査を行い、問題は見つかりませんでした。", "A malware scan found nothing.";
    rests_on: "根拠（検査結果のファイル名など）", "What it rests on (the name of the scan's file)";
    counts_for: "有効日数:", "It counts for so many days:";
    attest: "以上のとおり確認しました", "I confirm this";
    attestation_whole: "両方の項目を確認してください。", "Both points have to be confirmed.";

    live: "接続中", "Live";
    live_lead: "いま機器に接続しているセッションです。切断は両側で直ちに行われ、理由が相手に表示されます。", "Sessions that are connected to a device now. A cut takes effect at once on both sides, and the person reads why.";
    look_again: "最新の状態を見る", "Look again";
    earlier_sessions: "過去のセッション", "Earlier sessions";
    nobody_live: "いま接続している人はいません。", "Nobody is connected.";
    being_cut: "切断しています。", "It is being cut.";
    cut: "切断する", "Cut";
    paused: "一時停止中", "Paused";
    message: "メッセージを送る", "Send a message";
    message_lead: "接続中の人の端末に、あなたの名前とともに表示されます。", "It is shown on the terminal of the person who is connected, under your name.";
    message_text: "メッセージ", "Message";
    pause: "一時停止する", "Pause";
    pause_lead: "再開するまで、接続中の人が送るものは機器に届きません。機器の表示は続きます。", "Until it is resumed, nothing that the person sends reaches the device. What the device shows goes on.";
    resume: "再開する", "Resume";
    resume_lead: "一時停止中に入力されたものは、再開すると機器に送られます。送りたくない場合は切断してください。", "What was typed meanwhile is sent to the device when the session is resumed. Cut the session if it should not be.";
    cut_everyone: "全員を切断する", "Cut everyone";
    cut_everyone_lead: "切断しても、許可された時間帯であれば再び接続できます。接続させないためには非常時遮断を使ってください:", "Whoever is permitted can connect again. To keep people out, set a lock:";
    no_sessions: "該当するセッションはありません。", "There are no such sessions.";
    narrow: "絞り込む", "Narrow";
    lasted: "時間", "Lasted";
    watch: "接続中の画面", "Watching";
    watch_screen: "接続中の端末の画面", "The screen of the terminal";
    watch_begins: "画面を読み込んでいます。閲覧は記録されます。", "The screen is on its way. That you look is on record.";
    watch_nothing: "開いている端末や転送はありません。", "No terminal is open, and nothing is transferred.";
    watch_needs_script: "画面を見るには、ブラウザのスクリプトを有効にしてください。", "To see screens, allow scripts in the browser.";
    watch_elsewhere: "別のゲートウェイで接続されているため、画面はそのゲートウェイでご覧ください:", "It is connected at another gateway, which alone can show the screen:";
    watch_ended: "このセッションは終了しました。", "This session has ended.";
    watch_not_allowed: "サインインが終了したか、役割が変更されたため、表示を止めました。サインインし直してください。", "Your sign-in has ended or your roles have changed, so nothing more is shown. Sign in again.";
    watch_lost: "ゲートウェイに接続できません。表示されている内容は古い可能性があります。", "The gateway is not reached. What you see may be old.";
    watch_over: "表示できません。画面を開き直すか、サインインし直してください。", "It cannot be shown. Open the page again, or sign in again.";
    to_device: "機器へ", "to the device";
    from_device: "機器から", "from the device";
    details: "詳細", "Details";
    locks: "非常時遮断", "Locks";
    locks_lead: "遮断している間、対象の人は接続できず、接続中のセッションは直ちに終了します。", "While a lock is in force, those whom it is for cannot connect, and their sessions end at once.";
    no_locks: "遮断の記録はありません。", "There never was a lock.";
    whom: "対象", "Whom";
    everyone: "全員", "Everyone";
    which_id: "事業者・利用者・機器のID（全員の場合は不要）", "The vendor's, person's or device's ID (not for everyone)";
    nobody_of_that_name: "その名前の対象は登録されていません。何も遮断していません。", "nothing of that name is registered, so nothing was locked.";
    reason: "理由", "Reason";
    in_force: "遮断中", "in force";
    over: "終了", "over";
    until_lifted: "解除まで", "until lifted";
    lift: "解除する", "Lift";
    lock_now: "直ちに遮断する", "Lock now";
    people: "利用者", "People";
    people_lead: "登録されている利用者です。", "Everybody who is registered.";
    vendors: "事業者", "Vendors";
    vendors_lead: "契約している事業者です。", "Vendors under contract.";
    devices_lead: "登録されている機器です。", "Devices that are registered.";
    vendor_or_roles: "事業者・役割", "Vendor or roles";
    contract: "契約期間", "Contract";
    responsible: "責任者", "Responsible";
    address: "アドレス", "Address";
    active: "有効", "active";
    suspended: "停止中", "suspended";
    retired: "廃止", "retired";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_language_is_written_in_itself() {
        let japanese =
            |text: &str| text.chars().any(|c| matches!(c, '\u{3040}'..='\u{30ff}' | '\u{4e00}'..='\u{9fff}'));
        let of_pages = [
            super::super::registry_texts::ALL,
            calendar::ALL,
            evidence::ALL,
            joining::ALL,
            mails::ALL,
            passkeys::ALL,
            system::ALL,
            terminal::ALL,
        ];
        for (key, ja, en) in of_pages.into_iter().chain([ALL]).flatten() {
            // The switch names the language that it leads to.
            if !key.starts_with("other_language") {
                assert!(japanese(ja) && !japanese(en), "{key}: {ja} / {en}");
            }
        }
    }
}
