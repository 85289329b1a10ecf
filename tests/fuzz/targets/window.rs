//! Windows: recurrence rules as people type them, and windows as they lie in the database.
#![no_main]

use chrono::{DateTime, NaiveDate, TimeDelta};
use chrono_tz::Tz;
use sekimori_policy::window::Window;

const ZONES: [Tz; 4] = [Tz::Asia__Tokyo, Tz::Europe__Berlin, Tz::America__Sao_Paulo, Tz::Australia__Lord_Howe];

libfuzzer_sys::fuzz_target!(|input: (u16, u16, u16, u8, &str)| {
    let (day, minute, minutes, zone, text) = input;
    let begin = NaiveDate::from_ymd_opt(2026, 1, 1).expect("a day") + TimeDelta::days(i64::from(day % 4000));
    let start = begin.and_hms_opt(0, 0, 0).expect("midnight") + TimeDelta::minutes(i64::from(minute % 1440));
    let end = start + TimeDelta::minutes(i64::from(minutes % 1500));
    if let Ok(window) =
        Window::recurring(start, end, ZONES[usize::from(zone % 4)], text, (zone & 4 != 0).then_some(begin))
    {
        sound(&window);
    }
    if let Ok(window) = toml::from_str::<Window>(text) {
        sound(&window);
    }
});

fn sound(window: &Window) {
    let periods = window.occurrences();
    assert!(!periods.is_empty() && periods.len() <= 1000);
    assert!(periods.iter().all(|period| period.from < period.until && period.until <= window.last_end()));
    assert!(periods.is_sorted_by_key(|period| period.from));
    let first = periods[0].from;
    assert!(window.occurrence_containing(first).is_some_and(|period| period.contains(first)));
    assert_eq!(window.next_after(DateTime::<chrono::Utc>::MIN_UTC), periods.first().copied());
    assert_eq!(window.next_after(window.last_end()), None);
    let stored = toml::Value::try_from(window).expect("it can be stored");
    assert_eq!(stored.try_into::<Window>().expect("what is stored can be read").occurrences(), periods);
}
