//! Screens of a live recording: begun where what is sealed ends, followed, and told anew to who falls behind.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[expect(dead_code, reason = "other tests use the rest")]
mod common;

use common::{bytes, shell, started};
use sekimori_audit::keys;
use sekimori_audit::recording::{Output, Press, Recording, Sealing, Tap};
use sekimori_audit::replay::{LiveScreens, Since};

fn look(screens: &mut LiveScreens) {
    while screens.look().unwrap().more {}
}

fn drawn(screens: &LiveScreens) -> String {
    let rows = screens.screen(1).unwrap().rows();
    rows.iter().map(|row| row.iter().map(|run| run.text.as_str()).collect::<String>() + "\n").collect()
}

async fn terminal(recording: &Recording) -> Tap {
    recording.terminal(1, shell()).await.unwrap()
}

#[tokio::test]
async fn who_follows_is_told_what_came_and_who_fell_behind_the_screen_anew() {
    let root = tempfile::tempdir().unwrap();
    let recording = started(root.path()).await;
    let tap = terminal(&recording).await;
    tap.from_device(Output::Stdout, &bytes("one ")).unwrap();
    let mut screens = LiveScreens::new(&recording);
    look(&mut screens);
    let (Since::Anew(80, 24, screen), place) = screens.screen(1).unwrap().since(None) else { panic!("no screen") };
    assert!(screen.contains("one"), "{screen:?}");

    tap.from_device(Output::Stdout, &bytes("two\u{1b}]0;title\u{7}\u{1b}[6n")).unwrap();
    look(&mut screens);
    let (since, place) = screens.screen(1).unwrap().since(Some(place));
    assert_eq!(since, Since::More("two".into()));
    assert_eq!(screens.screen(1).unwrap().since(Some(place)).0, Since::Nothing);

    for _ in 0..400 {
        tap.from_device(Output::Stdout, &bytes("x".repeat(1000))).unwrap();
    }
    tap.from_device(Output::Stdout, &bytes("\r\nlast")).unwrap();
    look(&mut screens);
    let Since::Anew(80, 24, screen) = screens.screen(1).unwrap().since(Some(place)).0 else { panic!("a queue grew") };
    assert!(screen.len() < 10_000 && screen.contains("last"), "{screen:?}");
}

#[tokio::test]
async fn a_long_session_is_begun_at_the_end_of_what_is_sealed() {
    let (root, made) = (tempfile::tempdir().unwrap(), keys::make());
    let recording = started(root.path()).await;
    let tap = terminal(&recording).await;
    tap.from_device(Output::Stdout, &bytes("\u{1b}[31mtop")).unwrap();
    for _ in 0..300 {
        tap.from_device(Output::Stdout, &bytes("\r".to_owned() + &" ".repeat(999))).unwrap();
    }
    tap.from_device(Output::Stdout, &bytes("\u{1b}[2J\u{1b}[Hsealed ")).unwrap();
    let mut sealing = Sealing::begin(&recording).unwrap();
    while sealing.go_on(&made.recipients, &mut Press::new().unwrap()).unwrap() {}
    tap.from_device(Output::Stdout, &bytes("and since")).unwrap();
    let mut screens = LiveScreens::new(&recording);
    // One look is enough: what is sealed is not read again.
    assert!(!screens.look().unwrap().more);
    look(&mut screens);
    assert!(drawn(&screens).contains("sealed and since"), "{}", drawn(&screens));
    let row = screens.screen(1).unwrap().rows().remove(0);
    assert_eq!(row.first().unwrap().look.ink, Some(1), "the colour that was set before is lost");
}
