//! The texts of the terminal in a browser.

texts! {
    title: "端末", "Terminal";
    offer: "ブラウザの端末を開く", "Open a terminal in the browser";
    connect: "接続する", "Connect";
    again: "もう一度接続する", "Connect again";
    lead: "専用のソフトウェアを使わずに、この画面から機器を操作します。sshと同じ条件で許可され、画面の内容はすべて記録されます。", "The device's terminal in this page, without other software: permitted on the same terms as ssh, and all that it shows is recorded.";
    refused: "接続できません。理由:", "Not permitted. The reasons:";
    begins: "接続しています…", "Connecting …";
    open: "接続中です。", "Connected.";
    screen: "機器の画面", "The device's screen";
    keys: "キーボードで端末の外へ出る: Shift+F6。コピー: Ctrl+Shift+C（選択がなければ画面全体）。貼り付け: Ctrl+Shift+V または Shift+Insert。", "To leave the terminal by keyboard: Shift+F6. Copy: Ctrl+Shift+C (all of the screen where nothing is selected). Paste: Ctrl+Shift+V or Shift+Insert.";
    copy: "コピー", "Copy";
    copied: "コピーしました。", "Copied.";
    leave: "終了する", "End the terminal";
    lost: "ゲートウェイとの接続が切れました。作業は終了し、記録は残っています。", "The connection to the gateway broke off. The session has ended, and its recording is kept.";
    over: "端末を終了しました。", "This terminal has ended.";
    stale: "この画面の接続権は使用済みか、有効時間（1分）を過ぎています。もう一度接続してください。", "This page has been used already, or is older than a minute. Connect again.";
    too_many: "同時に開ける端末の数を超えています。使わない端末を終了してください。", "You have as many terminals open as there may be at once. End one that you do not need.";
    broken: "この画面から送られた内容を解釈できないため、終了しました。", "What came from this page could not be understood, so the terminal was ended.";
    too_large: "貼り付ける内容が大きすぎます（一度に64 KiBまで）。ファイルはsftpで転送してください。", "That is too much to paste at once (64 KiB). Files go by sftp.";
    failed: "ゲートウェイで端末を開けませんでした。しばらくしてやり直し、続く場合は病院に連絡してください。", "The gateway could not open a terminal. Try again in a while; if it stays, tell the hospital.";
    needs_script: "端末にはJavaScriptが必要です。sshでも接続できます。", "A terminal needs JavaScript. ssh works without.";
}
