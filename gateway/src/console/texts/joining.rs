//! The texts of invitations and enrolment.

texts! {
    invite: "招待", "Invite";
    invite_lead: "招待リンクから、本人がパスワードと認証アプリを登録します。リンクは72時間、一度だけ使えます。本人に直接、または電話などで確かめた相手に渡してください。", "With the link, the person sets a password and an authenticator. It works once, for 72 hours. Hand it over yourself, or to somebody whom you made sure of.";
    invite_replaces: "登録が済むと、この人のこれまでのパスワード、認証アプリ、SSH鍵、パスキー、サインインはすべて無効になります。", "Once they have enrolled, none of their earlier passwords, authenticators, SSH keys, passkeys and sign-ins counts any more.";
    invite_now: "新しい招待を作る", "Make a new invitation";
    invite_ends_earlier: "前の招待は、新しい招待を作ると使えなくなります。", "An earlier invitation ends when a new one is made.";
    not_invitable: "この人は停止中です。招待の前に、利用を再開してください。", "This person is switched off: switch them on again first.";
    has_factors: "この人には登録済みの本人確認の手段があります。利用者のページで、理由を書いて取り消してください。新しい招待がすぐに作られます。", "This person has factors. Take them away on their page, with a reason: a new invitation is made at once.";
    last_invitation: "最後の招待", "The last invitation";
    never_invited: "まだ招待していません。", "There was none yet.";
    made: "作成", "Made";
    expires: "期限", "Counts until";
    opened: "開かれた日時", "Opened";
    not_opened: "まだ開かれていません", "not yet";
    wrong_codes: "誤った確認コード", "Wrong codes";
    stands: "使えます", "it works";
    used: "登録に使われました", "they have enrolled with it";
    replaced: "新しい招待に置き換えられました", "a newer one took its place";
    too_often: "誤りが多すぎたため無効になりました", "too much was wrong that was sent with it";
    taken_back: "利用者の停止または認証情報の初期化で無効になりました", "the person was switched off or reset";
    expired: "期限が過ぎました", "its time is over";
    shown_once: "このリンクは今だけ表示されます。印刷するか、いま本人に渡してください。", "This link is shown only now. Print it, or hand it over at once.";
    print_hint: "ブラウザの印刷で、下の紙だけが印刷されます。", "Printing prints the sheet below and nothing else.";

    dead: "この招待リンクは使えません", "This invitation does not work";
    dead_text: "次の理由で登録に進めません。病院のシステム運用担当者に、新しい招待を頼んでください。何も登録していません。", "You cannot enrol with it, for this reason. Ask the hospital for a new one. Nothing was enrolled.";
    dead_unknown: "リンクが正しくないか、この接続元からは使えません。リンク全体を入力したか、病院に届け出た回線から開いているかを確かめてください。", "The link is not known, or does not work from this network. Make sure that it is whole, and that you come from the network that the hospital knows of.";
    dead_page: "この画面の有効期間（1時間）が過ぎたか、別の場所でリンクが開かれました。もう一度リンクを開いてください。", "This page has lasted its hour, or the link was opened elsewhere. Open the link once more.";

    join: "利用者登録", "Enrol";
    join_lead: "パスワードと認証アプリを登録します。すべてがそろって正しいときに、まとめて登録されます。途中でやめても何も変わりません。", "You set a password and an authenticator. All of it counts at once, when everything is right; if you stop half way, nothing has changed.";
    not_taken: "登録できませんでした。印のある項目を直してください。パスワードと確認コードは入力し直してください。", "You are not enrolled yet. Mend what is marked; type password and code once more.";
    step_password: "1. パスワード", "1. Password";
    password_rule: "13文字以上。関連のない単語を4〜5個並べると、覚えやすく強くなります。ほかで使っているものは使わないでください。", "At least 13 characters. Four or five unrelated words are strong and easy to keep. Use none that you use elsewhere.";
    new_password: "新しいパスワード", "New password";
    password_again: "もう一度同じパスワード", "The same once more";
    strength: "パスワードの強さ", "Strength of the password";
    too_short: "あと{n}文字必要です。", "{n} more characters are needed.";
    monotonous: "同じ文字が多すぎます。", "Too few different characters.";
    strong: "長さは十分です。", "Long enough.";
    stronger: "十分に長く、強いパスワードです。", "Long and strong.";
    accepted: "このパスワードは使えます。", "This password can be used.";
    step_authenticator: "2. 認証アプリ", "2. Authenticator";
    authenticator_lead: "スマートフォンの認証アプリ（Google Authenticator、Microsoft Authenticatorなど）で読み取るか、キーを入力してください。", "Scan it with an authenticator app on your phone, or type in the key.";
    qr_label: "認証アプリに登録するためのQRコード。下のキーと同じ内容です。", "QR code for the authenticator app; it holds the key below.";
    secret: "キー（文字で入力する場合）", "The key, to type it in";
    secret_kind: "種類: 時間ベース（TOTP）、SHA-1、6桁、30秒", "Kind: time-based (TOTP), SHA-1, 6 digits, 30 seconds";
    step_code: "3. 確認", "3. Confirm";
    code_lead: "認証アプリにいま表示されている6桁を入力してください。", "Type the six digits that the app shows now.";
    step_key: "4. SSH公開鍵", "4. SSH public key";
    key_optional: "任意です。SSH鍵で接続する場合だけ登録してください。秘密鍵は入力しないでください。", "Only if you connect with an SSH key. Never paste a private key.";
    key_needed: "この病院では、SSH鍵も必要です。秘密鍵は入力しないでください。", "This hospital asks for an SSH key as well. Never paste a private key.";
    key_line: "公開鍵（.pubファイルの1行）", "The public key (the line in the .pub file)";
    key_file: "ファイルから読み込む", "Read it from a file";
    enrol: "登録する", "Enrol";
    passwords_differ: "2つのパスワードが一致しません。", "The two passwords differ.";
    password_blanks: "パスワードの前後に空白は使えません。", "A password neither begins nor ends with a blank.";
    code_wrong: "確認コードが正しくありません。いま表示されている6桁を入力してください。時刻がずれている場合は、スマートフォンの時刻を自動設定にしてください。", "The code is wrong. Type the digits that are shown now; if it stays wrong, let the phone set its clock by itself.";
    key_unreadable: "OpenSSHの公開鍵として読めません。「ssh-ed25519 AAAA…」のような.pubファイルの1行を貼り付けてください。", "This is no OpenSSH public key: paste the line of the .pub file, such as ssh-ed25519 AAAA…";
    key_private: "これは秘密鍵です。登録していません。.pubファイル（公開鍵）を貼り付けてください。", "This is a private key, and was not taken. Paste the .pub file, which is the public one.";
    key_taken: "この鍵はすでに登録されています。ほかの人と同じ鍵は使えません。", "This key is registered already; two people never share one.";
    key_missing: "SSH公開鍵を入力してください。", "Give an SSH public key.";

    enrolled: "登録しました", "You are enrolled";
    enrolled_lead: "パスワードと認証アプリが有効になりました。この招待リンクはもう使えません。", "Password and authenticator count from now on. The invitation does not work any more.";
    recovery: "回復コード", "Recovery codes";
    recovery_lead: "スマートフォンをなくしたときに、確認コードの代わりに使います。1つにつき一度だけ使えます。表示は今だけです。印刷するか書き写して、パスワードとは別の場所に保管してください。", "For the day on which you lose the phone: one stands in for a code, once. They are shown only now. Print or write them down, and keep them apart from the password.";
    go_on: "サインインする", "Sign in";
    by_ssh: "SSHで接続する場合:", "By SSH:";
    recovery_left: "残りの回復コード:", "Recovery codes left:";
    recovery_spent: "最後に使われた日時:", "One was last used:";
    recovery_used: "回復コードでサインインしました。このコードはもう使えません。認証アプリをなくした場合は、病院に新しい招待を頼んでください。あなたが使っていない場合は、すぐに病院に連絡してください。", "You signed in with a recovery code, which is spent now. If the authenticator is lost, ask the hospital for a new invitation. If it was not you, tell the hospital at once.";
    recovery_hint: "認証アプリをなくしたときは、確認コードの代わりに回復コードを入力できます。", "If you have lost the authenticator, a recovery code stands in for the code.";
    use_recovery: "回復コードを使う", "Use a recovery code";
    recovery_code: "回復コード", "Recovery code";
    proved_by: "認証方法", "Proved with";
}
