//! What the devices say. Made up, but the way such equipment speaks; the same at each start, apart from times.

use super::terminal::width;
use super::{Kind, Personality};
use chrono::{DateTime, Duration, FixedOffset, Utc};

/// A time as the devices show it: Japan Standard Time, wherever they run.
pub fn japan_time(at: DateTime<Utc>) -> String {
    const EAST: i32 = 9 * 3600;
    match FixedOffset::east_opt(EAST) {
        Some(japan) => at.with_timezone(&japan).format("%Y-%m-%d %H:%M:%S JST").to_string(),
        None => at.format("%Y-%m-%d %H:%M:%S UTC").to_string(),
    }
}

/// The list of commands.
pub fn help(kind: Kind) -> String {
    let own = match kind {
        Kind::Ct => "  tube  管球の使用状況\n",
        Kind::Mri => "  helium  ヘリウムと冷凍機の状態\n",
        Kind::Laboratory => "  analyzers  分析装置の接続状態\n",
        Kind::Records => "  services  業務サービスの状態\n",
        Kind::Archive => "  studies  保管している検査の件数\n",
        Kind::Switch => "  show interfaces  ポートの状態\n  show vlan  VLANの一覧\n",
    };
    format!(
        "機器のコマンド:\n  status  状態の一覧\n  log  最近の記録\n  errors  警告とエラーだけ\n  selftest  自己診断\n  \
         monitor  一秒ごとの表示（q で終了）\n  show version  機種とソフトウェアの版\n{own}\
         一般のコマンド:\n  ls [-l] [フォルダ]  一覧\n  cat [ファイル]  内容の表示\n  cd [フォルダ]  移動\n  pwd  現在のフォルダ\n  \
         date  時刻\n  uname -a  システム\n  hostname  機器の名前\n  whoami  使用中のアカウント\n  echo [文字列]  表示\n  \
         head -c [バイト数] /dev/zero  試験データ\n  wc -c  入力のバイト数\n  sleep [秒]  待機\n  passwd  パスワードの変更\n  \
         clear  画面の消去\n  help  この一覧\n  exit  終了\n"
    )
}

/// What `status` and the status page list.
pub fn status(kind: Kind) -> &'static [(&'static str, &'static str)] {
    match kind {
        Kind::Ct => &[
            ("管球温度", "41 ℃（上限 75 ℃）"),
            ("管球熱負荷", "12 %"),
            ("ガントリ", "停止・正常"),
            ("寝台", "原点"),
            ("検査待ち", "3 件"),
            ("未転送画像", "0 件"),
            ("ディスク", "412 GB / 960 GB（43 %）"),
        ],
        Kind::Mri => &[
            ("静磁場", "3.0 T・安定"),
            ("液体ヘリウム", "87 %"),
            ("コールドヘッド温度", "3.9 K"),
            ("傾斜磁場アンプ", "正常"),
            ("検査待ち", "1 件"),
            ("ディスク", "655 GB / 1.9 TB（34 %）"),
        ],
        Kind::Laboratory => &[
            ("受付済み検体", "218 件"),
            ("測定中", "14 件"),
            ("結果未送信", "2 件"),
            ("分析装置", "6 台中 6 台 接続"),
            ("精度管理", "本日分 合格"),
            ("ディスク", "96 GB / 480 GB（20 %）"),
        ],
        Kind::Records => &[
            ("利用者", "142 名 接続中"),
            ("データベース", "稼働・待機系と同期済み"),
            ("連携待ち", "5 件"),
            ("直近のバックアップ", "正常終了"),
            ("CPU", "18 %"),
            ("ディスク", "2.1 TB / 4.0 TB（53 %）"),
        ],
        Kind::Archive => &[
            ("保管検査数", "1,284,310 件"),
            ("受信待ち", "0 件"),
            ("配信中", "7 件"),
            ("DICOM受信", "稼働（ポート 104）"),
            ("長期保管", "同期済み"),
            ("ディスク", "61 TB / 96 TB（64 %）"),
        ],
        Kind::Switch => &[
            ("ポート", "24 中 19 リンクアップ"),
            ("筐体温度", "38 ℃"),
            ("電源", "1系 正常 / 2系 正常"),
            ("ファン", "正常"),
            ("CPU", "4 %"),
        ],
    }
}

/// The log lines whose level `keep` likes, oldest first. They lie in the day before the device was started.
pub fn log(kind: Kind, booted: DateTime<Utc>, keep: impl Fn(&str) -> bool) -> String {
    const COMMON: [(i64, &str, &str); 3] = [
        (1440, "INFO", "定時の自己診断を開始"),
        (1436, "INFO", "定時の自己診断が終了: 異常なし"),
        (720, "INFO", "時刻同期: ずれ 2 ms"),
    ];
    let own: [(i64, &str, &str); 5] = match kind {
        Kind::Ct => [
            (610, "INFO", "ウォームアップ完了"),
            (388, "WARN", "管球温度が 68 ℃ に上昇、冷却を延長"),
            (214, "ERROR", "E-2031 画像転送に失敗: 宛先が応答しません（再送 1 回目）"),
            (213, "INFO", "画像転送に成功: 512 枚"),
            (42, "INFO", "検査終了: ファントム校正"),
        ],
        Kind::Mri => [
            (655, "INFO", "シミング完了"),
            (431, "WARN", "チラー水温が 19.5 ℃ に上昇"),
            (230, "ERROR", "E-7110 RFコイル 2 の接続を確認できません"),
            (226, "INFO", "RFコイル 2 を再検出"),
            (58, "INFO", "検査終了: ファントム校正"),
        ],
        Kind::Laboratory => [
            (602, "INFO", "精度管理: 全項目 合格"),
            (377, "WARN", "試薬残量が少なくなっています: GLU"),
            (201, "ERROR", "E-0412 結果の送信に失敗: 電子カルテ側が混雑"),
            (199, "INFO", "結果の再送に成功: 12 件"),
            (33, "INFO", "分析装置 3 を再接続"),
        ],
        Kind::Records => [
            (645, "INFO", "バックアップが正常終了"),
            (402, "WARN", "応答時間が 1.8 秒に増加"),
            (188, "ERROR", "E-5003 連携キューの処理に失敗: 検査結果 1 件（保留）"),
            (185, "INFO", "連携キューの再処理に成功"),
            (21, "INFO", "マスタ更新を適用"),
        ],
        Kind::Archive => [
            (633, "INFO", "長期保管との同期が終了"),
            (395, "WARN", "保管領域 2 の使用率が 80 % を超過"),
            (222, "ERROR", "E-3120 C-STORE を拒否: 未登録の AE タイトル"),
            (140, "INFO", "整合性検査が終了: 差異なし"),
            (12, "INFO", "C-STORE 受信: 512 枚"),
        ],
        Kind::Switch => [
            (615, "INFO", "%LINK-3-UPDOWN: GigabitEthernet0/12 up"),
            (390, "WARN", "%SNMP-4-AUTH: 認証に失敗した要求を受信"),
            (215, "ERROR", "%LINK-3-ERR: GigabitEthernet0/7 CRC エラーを検出"),
            (209, "INFO", "%LINK-3-UPDOWN: GigabitEthernet0/7 up"),
            (18, "INFO", "%SYS-5-CONFIG: 設定を保存"),
        ],
    };
    COMMON
        .iter()
        .chain(&own)
        .filter(|(_, level, _)| keep(level))
        .map(|(minutes, level, text)| {
            format!("{} {level:<5} {text}\n", japan_time(booted - Duration::minutes(*minutes)))
        })
        .collect()
}

/// What `selftest` goes through.
pub fn checks(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Ct => &["高電圧発生装置", "検出器", "ガントリ回転", "寝台", "画像再構成"],
        Kind::Mri => &["静磁場", "傾斜磁場", "RF送受信", "冷却系", "画像再構成"],
        Kind::Laboratory => &["検体搬送", "分析装置の通信", "バーコード", "データベース"],
        Kind::Records => &["データベース", "待機系との同期", "連携", "認証"],
        Kind::Archive => &["DICOM受信", "DICOM配信", "保管領域", "長期保管"],
        Kind::Switch => &["メモリ", "ポート", "電源とファン", "転送"],
    }
}

/// What `show version` says.
pub fn version(kind: Kind) -> String {
    let (model, software) = match kind {
        Kind::Ct => ("DemoScan CT 640", "4.2.1"),
        Kind::Mri => ("DemoField MR 3T", "7.0.3"),
        Kind::Laboratory => ("DemoLab LIS", "12.5.0"),
        Kind::Records => ("DemoKarte", "3.8.2"),
        Kind::Archive => ("DemoPACS", "9.1.4"),
        Kind::Switch => ("DemoSwitch 24G", "15.2(7)"),
    };
    format!("機種: {model}\nソフトウェア: {software}\n製造番号: DEMO-0001\n")
}

/// What `uname -a` says.
pub fn uname(personality: &Personality) -> String {
    format!("Linux {} 6.1.0-demo #1 SMP PREEMPT_DYNAMIC x86_64 GNU/Linux\n", personality.id)
}

/// The commands that only this kind of device has.
pub fn speciality(kind: Kind, words: &[&str]) -> Option<&'static str> {
    Some(match (kind, words) {
        (Kind::Ct, ["tube"]) => "管球: 累積 184,220 スキャン / 交換目安 250,000\nアーク検出: 0 回（30日間）\n",
        (Kind::Mri, ["helium"]) => "液体ヘリウム: 87 %（30日間で 0.1 % 減）\n冷凍機: 運転 21,480 時間\n",
        (Kind::Laboratory, ["analyzers"]) => {
            "1 生化学1  接続\n2 生化学2  接続\n3 血算     接続\n4 凝固     接続\n5 免疫     接続\n6 尿       接続\n"
        }
        (Kind::Records, ["services"]) => "AP1 稼働\nAP2 稼働\nDB 稼働（待機系 同期済み）\n連携 稼働\n帳票 稼働\n",
        (Kind::Archive, ["studies"]) => "CT 412,008\nMR 198,441\nCR 602,115\nUS 71,746\n合計 1,284,310 件\n",
        (Kind::Switch, ["show", "interfaces"]) => {
            "Port                 Status     VLAN  Description\n\
             GigabitEthernet0/1   connected  10    電子カルテ\n\
             GigabitEthernet0/2   connected  20    CT\n\
             GigabitEthernet0/3   connected  20    MRI\n\
             GigabitEthernet0/7   connected  30    検査部門\n\
             GigabitEthernet0/12  connected  40    保守ゲートウェイ\n\
             GigabitEthernet0/24  notconnect 1     （予備）\n"
        }
        (Kind::Switch, ["show", "vlan"]) => "10 KARTE\n20 MODALITY\n30 LAB\n40 MAINTENANCE\n",
        _ => return None,
    })
}

/// One screen of `monitor`: figures that move with `tick`, the same way each time.
pub fn frame(personality: &Personality, tick: u32, now: DateTime<Utc>) -> Vec<String> {
    let mut lines = vec![
        format!("{}（{}） {}", personality.name, personality.kind.label(), japan_time(now)),
        "q で終了".to_owned(),
        String::new(),
    ];
    for (name, base, step) in [("CPU", 18, 7), ("メモリ", 46, 3), ("ネットワーク", 9, 11), ("ディスク", 5, 5)]
    {
        let load = base + (tick * step) % 30;
        let filled = usize::try_from(load / 5).unwrap_or_default().min(20);
        let pad = 14_usize.saturating_sub(name.chars().map(width).sum());
        let (blanks, full, empty) = (" ".repeat(pad), "#".repeat(filled), "-".repeat(20 - filled));
        lines.push(format!("{name}{blanks}[{full}{empty}] {load:>3} %"));
    }
    lines.push(String::new());
    lines.extend(status(personality.kind).iter().map(|(label, value)| format!("{label}: {value}")));
    lines
}

/// As much of a line as fits into `columns` cells.
pub fn cut(line: &str, columns: usize) -> String {
    let mut used = 0;
    line.chars()
        .take_while(|character| {
            used += width(*character);
            used <= columns
        })
        .collect()
}
