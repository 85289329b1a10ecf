//! Every text of the console, in both languages side by side: a key that one of them lacks does not compile.

use sekimori_policy::facts::Language;

macro_rules! texts {
    ($($key:ident: $ja:literal, $en:literal;)*) => {
        /// The texts of one language.
        pub struct Texts {
            $(#[doc = $en] pub $key: &'static str,)*
        }

        const JA: Texts = Texts { $($key: $ja,)* };
        const EN: Texts = Texts { $($key: $en,)* };

        #[cfg(test)]
        const ALL: &[(&str, &str, &str)] = &[$((stringify!($key), $ja, $en)),*];
    };
}

impl Texts {
    /// The texts of a language.
    #[must_use]
    pub fn of(language: Language) -> &'static Self {
        match language {
            Language::Ja => &JA,
            Language::En => &EN,
        }
    }

    /// Where the navigation may lead, in its order.
    #[must_use]
    pub fn places(&self) -> Vec<(&'static str, &'static str)> {
        vec![("/account", self.account), ("/sign-ins", self.all_sign_ins)]
    }
}

texts! {
    product: "関守", "Sekimori";
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_language_is_written_in_itself() {
        let japanese =
            |text: &str| text.chars().any(|c| matches!(c, '\u{3040}'..='\u{30ff}' | '\u{4e00}'..='\u{9fff}'));
        for (key, ja, en) in ALL {
            // The switch names the language that it leads to.
            if !key.starts_with("other_language") {
                assert!(japanese(ja) && !japanese(en), "{key}: {ja} / {en}");
            }
        }
    }
}
