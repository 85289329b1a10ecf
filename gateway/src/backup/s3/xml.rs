//! What is read of a store's answers: elements without attributes that matter, by their names. What is not there is empty,
//! and whoever needed it refuses.

/// Bytes of the longest name of a character, with its semicolon.
const LONGEST_NAME: usize = 10;

/// The insides of all elements of a name, in order. None of those that are asked for lies within one of its own name.
pub fn elements<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let (close, mut rest, mut found) = (format!("</{name}>"), text, Vec::new());
    let open = format!("<{name}");
    while let Some((_, after)) = rest.split_once(&open) {
        rest = after;
        // Another element may begin with the same letters.
        if !after.starts_with(['>', ' ', '/']) {
            continue;
        }
        // Every step goes on where the one before it ended, so that no answer takes longer than its length.
        let Some((head, begin)) = after.split_once('>') else { break };
        rest = begin;
        if head.ends_with('/') {
            continue;
        }
        let Some((inside, after)) = begin.split_once(&close) else { break };
        found.push(inside);
        rest = after;
    }
    found
}

/// The text of the first element of a name.
pub fn text(xml: &str, name: &str) -> Option<String> {
    elements(xml, name).first().map(|inside| unescaped(inside))
}

fn unescaped(text: &str) -> String {
    let (mut plain, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, after)) = rest.split_once('&') {
        plain += before;
        let name = after.bytes().take(LONGEST_NAME).position(|byte| byte == b';').and_then(|end| after.get(..end));
        let known = name.and_then(|name| Some((character(name)?, after.get(name.len() + 1..)?)));
        let (character, after) = known.unwrap_or(('&', after));
        plain.push(character);
        rest = after;
    }
    plain + rest
}

fn character(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let number = match number.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(number)
        }
    }
}

/// A text within an element.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_by_their_whole_name() {
        let xml = "<R xmlns=\"x\"><VersionIdMarker/><Version><Key>a&amp;b&#x41;</Key></Version><Version><Key>c</Key></Version></R>";
        let keys: Vec<_> = elements(xml, "Version").into_iter().map(|version| text(version, "Key")).collect();
        assert_eq!(keys, [Some("a&bA".to_owned()), Some("c".to_owned())]);
        assert_eq!(elements(xml, "R").len(), 1);
        assert_eq!(text(xml, "VersionIdMarker"), None);
        assert!(elements("<Key>never closed", "Key").is_empty());
        assert_eq!(text("<Key>a&b;&#38;&amp</Key>", "Key").as_deref(), Some("a&b;&&amp"));
    }

    #[test]
    fn what_is_made_to_take_long_does_not() {
        // What began anew at each of these would look at all the rest a million times.
        for hostile in ["<Key ", "<Key/", "<Keys>", "&", "&#x"] {
            let hostile = hostile.repeat(1 << 20);
            assert!(elements(&hostile, "Key").is_empty() && elements(&format!("{hostile}/>"), "Key").is_empty());
            assert!(text(&format!("<Key>{hostile}</Key>"), "Key") == Some(hostile));
        }
    }
}
