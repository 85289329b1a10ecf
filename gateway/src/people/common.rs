//! What everybody tries first: well-known words, rows of keys, sequences, years and repetition.
//!
//! A password is common if hardly anything is left of it once all of that is taken out. So the list of words stays
//! short and still covers `Password-Password-123`, `qwertyuiop-2026!` and their like.

use std::collections::HashSet;
use std::sync::LazyLock;

/// With fewer characters left than this, a guesser needs little more than the list.
const LEFT_OVER: usize = 5;
/// From how many characters on a row of keys or a sequence counts as one.
const RUN: usize = 4;
/// Fewer different characters than this are repetition, however they are mixed.
const DIFFERENT: usize = 5;

/// Rows of keys, as fingers walk them (US and Japanese layouts); also read backwards.
const ROWS: [&str; 8] = [
    "1234567890",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "qwertzuiop",
    "azertyuiop",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
    "1q2w3e4r5t6y7u8i9o0p",
];

/// The words, folded, longest first: `passwords` is to be found before `password`.
static WORDS: LazyLock<Vec<Vec<char>>> = LazyLock::new(|| {
    let mut words: Vec<Vec<char>> = include_str!("common.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.chars().collect())
        .collect();
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    words
});

/// The text as a guesser sees it: full-width forms as their ASCII (as Unicode NFKC has them), all small letters.
pub(super) fn fold(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\u{FF01}'..='\u{FF5E}' => char::from_u32(u32::from(c) - 0xFEE0).unwrap_or(c),
            '\u{3000}' => ' ',
            other => other,
        })
        .flat_map(char::to_lowercase)
        .collect()
}

/// Whether hardly anything is left of a folded password.
pub(super) fn is_common(folded: &str) -> bool {
    let all: Vec<char> = folded.chars().collect();
    if repeats(&all) || all.iter().collect::<HashSet<_>>().len() < DIFFERENT {
        return true;
    }
    // Signs between words cost a guesser nothing; look-alikes (`p4ssw0rd`) hardly more.
    let words: Vec<char> = all.iter().copied().filter(|c| c.is_alphanumeric() || "@$".contains(*c)).collect();
    let alike: Vec<char> = words.iter().map(|c| look_alike(*c)).collect();
    left_over(&words) < LEFT_OVER || left_over(&alike) < LEFT_OVER
}

/// Whether the whole is one part, shorter than half, again and again (the last time perhaps cut short).
fn repeats(all: &[char]) -> bool {
    (1..=all.len() / 2).any(|period| all.iter().zip(all.iter().skip(period)).all(|(a, b)| a == b))
}

/// How many characters remain when everything predictable is taken out, from left to right.
fn left_over(text: &[char]) -> usize {
    let mut rest = text;
    let mut left = 0;
    while !rest.is_empty() {
        let predictable = predictable_prefix(rest);
        if predictable == 0 {
            left += 1;
        }
        rest = rest.get(predictable.max(1)..).unwrap_or_default();
    }
    left
}

fn predictable_prefix(text: &[char]) -> usize {
    let word = WORDS.iter().find(|word| text.starts_with(word)).map_or(0, Vec::len);
    [word, row(text), sequence(text), same(text), year(text)].into_iter().max().unwrap_or(0)
}

fn row(text: &[char]) -> usize {
    let longest = |keys: &[char]| (0..keys.len()).map(|at| shared(text, keys.get(at..).unwrap_or_default())).max();
    let runs = ROWS.iter().flat_map(|row| {
        let keys: Vec<char> = row.chars().collect();
        let back: Vec<char> = row.chars().rev().collect();
        [longest(&keys), longest(&back)]
    });
    at_least(RUN, runs.flatten().max().unwrap_or(0))
}

fn sequence(text: &[char]) -> usize {
    let run = |step: i64| {
        1 + text.windows(2).take_while(|pair| matches!(pair, [a, b] if code(*b) - code(*a) == step)).count()
    };
    at_least(RUN, run(1).max(run(-1)))
}

fn same(text: &[char]) -> usize {
    let first = text.first();
    at_least(3, text.iter().take_while(|c| Some(*c) == first).count())
}

/// `1950` to `2099`.
fn year(text: &[char]) -> usize {
    match text {
        ['1', '9', '5'..='9', '0'..='9', ..] | ['2', '0', '0'..='9', '0'..='9', ..] => 4,
        _ => 0,
    }
}

fn shared(a: &[char], b: &[char]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

fn at_least(least: usize, run: usize) -> usize {
    if run >= least { run } else { 0 }
}

fn code(c: char) -> i64 {
    i64::from(u32::from(c))
}

fn look_alike(c: char) -> char {
    match c {
        '0' => 'o',
        '1' => 'i',
        '3' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' => 't',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_everybody_tries_first_is_common() {
        for password in [
            "passwordpassword",
            "Password-Password",
            "Password123456!",
            "P4ssw0rd-P4ssw0rd",
            "ｐａｓｓｗｏｒｄ１２３４５",
            "1234567890123",
            "9876543210987",
            "qwertyuiopasdf",
            "poiuytrewqlkjh",
            "1qaz2wsx3edc4rfv",
            "1q2w3e4r5t6y7u",
            "administrator1",
            "Administrator2026!",
            "sekimori-sekimori",
            "Sekimori-2026-!!",
            "correcthorsebatterystaple",
            "aaaaaaaaaaaaaa",
            "abababababababab",
            "x7k!x7k!x7k!x7k!",
            "abcdefghijklmn",
            "iloveyouiloveyou",
            "welcome-to-hospital1",
            "ぱすわーどぱすわーど",
        ] {
            assert!(is_common(&fold(password)), "{password} should be refused");
        }
    }

    #[test]
    fn what_takes_guessing_is_not() {
        for password in [
            "tuba-velvet-kelp",
            "tuba velvet kelp",
            "kT9#vq2!LmZx8p",
            "password-tuba-velvet",
            "青い鯨が窓辺で傘を干している",
            "1984-was-read-by-nine-otters",
        ] {
            assert!(!is_common(&fold(password)), "{password} should be taken");
        }
    }

    #[test]
    fn the_list_is_folded_sorted_and_without_doubles() {
        let lines: Vec<&str> = include_str!("common.txt").lines().filter(|line| !line.starts_with('#')).collect();
        assert!(lines.iter().all(|line| fold(line) == *line && line.chars().all(char::is_alphanumeric)));
        assert!(lines.is_sorted_by(|a, b| a < b), "sort the list with LC_ALL=C sort -u");
        // Two kanji are a word already; two letters are not.
        assert!(lines.iter().all(|line| line.chars().count() >= if line.is_ascii() { 3 } else { 2 }));
    }
}
