//! The texts of the calendar.

texts! {
    lead: "申請中・承認済みの作業時間帯を1週間ずつ表示します。時刻は病院の時間帯です。", "What was requested and what is approved, a week at a time, in the hospital's zone.";
    empty: "この週に開く作業時間帯はありません。", "No window opens in this week.";
    by_device: "機器別", "By device";
    by_vendor: "事業者別", "By vendor";
    earlier: "前の週", "Week before";
    today: "今週", "This week";
    later: "次の週", "Week after";
    from: "表示する日", "Show from";
    show: "表示", "Show";
    overlaps: "重複", "overlaps";
    and_more: "ほか", "and";
    more: "件数が多いため、すべては表示していません。", "There is more than is shown here.";
    monday: "月", "Mon";
    tuesday: "火", "Tue";
    wednesday: "水", "Wed";
    thursday: "木", "Thu";
    friday: "金", "Fri";
    saturday: "土", "Sat";
    sunday: "日", "Sun";
}
