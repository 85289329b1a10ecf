//! The texts of passkeys.

texts! {
    passkeys: "パスキー", "Passkeys";
    lead: "指紋、顔、PINで守られた端末やセキュリティキーで、パスワードと確認コードなしにコンソールへ入れます。SSHでは使えません。", "A device or a security key that knows your finger, your face or a PIN lets you in to the console without password and code. SSH does not take them.";
    none: "登録されたパスキーはありません。", "You have none yet.";
    unavailable: "このアドレスではパスキーを使えません。名前で開けるよう、病院のシステム運用担当者に依頼してください。", "There are no passkeys at this address: the console has no name. Ask the hospital.";
    name: "名前", "Name";
    added: "登録", "Added";
    last_used: "最終利用", "Last used";
    never: "未使用", "never";
    remove: "削除する", "Remove";
    new_name: "新しいパスキーの名前（例: 仕事用ノートPC）", "What you call the new one, such as laptop";
    add: "パスキーを登録する", "Add a passkey";
    sign_in: "パスキーでサインイン", "Sign in with a passkey";
    again: "パスキーで確認する", "Confirm with a passkey";
    elsewhere: "パスキーはこのアドレスで開いたときだけ使えます:", "Passkeys work at this address only:";
    failed: "パスキーを使えませんでした。取り消したか、時間が過ぎたか、この端末に登録がありません。", "The passkey could not be used: it was cancelled, took too long, or this device holds none.";
    unsupported: "このブラウザはパスキーに対応していません。", "This browser does not know passkeys.";
    not_taken: "パスキーを登録できませんでした。もう一度やり直してください。", "The passkey was not taken. Please try again.";
    known_already: "このパスキーはすでに登録されています。", "This passkey is registered already.";
    too_many: "パスキーが多すぎます。使わないものを削除してください。", "There are too many: remove one that you do not use.";
    name_missing: "パスキーの名前を60文字以内の1行で入力してください。", "Give the passkey a name of one line, of at most 60 characters.";
}
