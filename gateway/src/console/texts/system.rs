//! The texts of the page on how the gateway does.

texts! {
    lead: "関守が正しく動いているか、そして何を求める設定になっているかを示します。詳しくは、サーバで sekimori doctor を実行してください。", "Whether the gateway does well, and what it is set to demand. On its machine, sekimori doctor looks at more.";
    checks: "状態", "State";
    good: "正常", "well";
    look: "要確認", "look at it";
    trouble: "異常", "trouble";
    found: "内容", "Found";
    log: "改ざん検知ログ（封印済み / 全イベント）", "Log (events sealed / all)";
    log_stalled: "ログを書き込めません。新しい接続は始まりません。ディスクを確認してください。", "The log cannot be written, and no session starts: look at its disk.";
    witness: "立会サーバ（ウィットネス）", "Witness";
    no_witness: "設定されていません。このサーバを乗っ取った者による書き換えは、外部に保管したチェックポイントがなければ分かりません。", "None is configured: what whoever holds this machine rewrites, only a checkpoint kept elsewhere shows.";
    never: "まだ一度もありません", "never yet";
    room: "録画の空き容量", "Room for recordings";
    room_over: "予備の容量まで減っています。新しい接続は始まりません。", "The reserve is reached, and no session starts.";
    backup: "最後のバックアップ", "Last backup";
    backup_failed: "その後のバックアップは失敗しました。", "One after it failed.";
    no_mail: "設定されていません。通知はこの画面の中だけで行われます。", "None is configured: people are told in the console alone.";
    mail_goes: "送信できています。", "It goes.";
    settings: "設定", "Settings";
    settings_lead: "設定ファイルで変更し、再読み込みすると反映されます。再読み込みはイベントとして記録されます。", "They change in the configuration's file, with a reload, which is an event.";
    setting: "項目", "Setting";
    value: "値", "Value";
    zone: "時間帯", "Time zone";
    demanded: "サインインで求める要素", "What a sign-in takes";
    two_kinds: "異なる種類の2要素", "two factors of different kinds";
    factors_age: "要素の有効時間", "How long factors count";
    no_limit: "制限なし", "as long as the connection";
    carried: "sign-inで発行する証明書の有効時間", "A sign-in carried by certificate";
    idle_session: "操作のない接続を終了するまで", "A session without input ends after";
    idle_console: "操作のないサインインを終了するまで", "A console sign-in without use ends after";
    whole_console: "サインインの最長時間", "A console sign-in ends in any case after";
    step_up: "重要な操作の再確認", "Weighty acts ask anew after";
    retention: "録画の保存期間", "Recordings are kept";
    for_good: "無期限", "for good";
    minutes: "分", "minutes";
    hours: "時間", "hours";
    days: "日", "days";
}
