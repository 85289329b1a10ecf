//! The texts of the files that an attestation of a terminal rests on.

texts! {
    files: "根拠となるファイル（任意）", "Files that it rests on (optional)";
    files_hint: "ウイルス検査の結果や更新の適用状況など。PDF・PNG・JPEG・テキストを5件まで、1件5 MiBまで。暗号化して保管し、病院と自社の利用者だけが受け取れます。", "The result of a malware scan, the state of updates. Up to five files of PDF, PNG, JPEG or text, of 5 MiB each. They are kept encrypted; the hospital and your own vendor's people can take them.";
    terminals: "接続端末の安全確認", "Terminals";
    no_word: "有効な確認がありません。", "No word that counts.";
    until: "有効期限", "counts until";
    not_taken: "この種類のファイルは受け付けていません。PDF・PNG・JPEG・テキストにしてください。", "Files of this kind are not taken. Bring it as PDF, PNG, JPEG or text.";
    too_large: "大きすぎるか、件数が多すぎます（5件まで、1件5 MiBまで）。", "It is too large, or one file too many (five files, of 5 MiB each).";
    too_many: "ファイルは5件までです。", "There may be five files.";
    choose_again: "ファイルは失われました。もう一度選んでから送ってください。", "The files were not kept. Choose them once more and send the form again.";
    enough_today: "1日に受け付ける量（50 MiB）を超えます。明日もう一度送るか、ファイルを小さくしてください。", "That is more than is taken in a day (50 MiB). Send it tomorrow, or make the files smaller.";
}
