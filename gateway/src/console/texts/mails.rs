//! The texts of the page on mail.

texts! {
    lead: "送信を待っている通知メールと、最近送ったものです。", "Mail that waits to be sent, and what became of the last.";
    off: "メールサーバが設定されていません。通知はこの画面の中だけで行われます。設定ファイルの[mail]で指定できます。", "No mail server is configured: people are told in the console alone. [mail] of the configuration names one.";
    late: "10分以上送れていないメールがあります。メールサーバの状態を確認してください（sekimori doctor）。それまで、通知は届きません。", "Mail has waited for more than ten minutes. Look at the mail server (sekimori doctor): until then nobody is told.";
    given_up_lately: "この7日間に、送信を断念したメールがあります。", "Within the last seven days, mail was given up.";
    none: "メールはまだありません。", "There has been no mail.";
    made: "作成", "Written";
    what: "種類", "What for";
    said: "サーバの応答", "What the server said";
    waits: "待機中", "waits";
    tried_again: "再送待ち", "tried again";
    sent: "送信済み", "sent";
    given_up: "断念", "given up";
    invitation: "招待", "Invitation";
    requested: "申請", "Request";
    emergency: "緊急アクセス", "Emergency access";
    decided: "判断の結果", "Decision";
    approval_overdue: "事後承認の期限切れ", "Approval overdue";
    review_overdue: "確認の期限切れ", "Review overdue";
}
