//! What lies on a device when it starts: logs, an image or two, an empty folder for what is brought in.

use super::files::Node;
use super::{Kind, Personality, texts};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;

/// The files and folders of a device that has just started, by absolute path.
pub fn furnish(personality: &Personality, now: DateTime<Utc>) -> BTreeMap<String, Node> {
    let mut nodes = BTreeMap::new();
    let mut put = |path: &str, content: Option<Vec<u8>>| {
        nodes.insert(path.to_owned(), Node { content, modified: now });
    };
    for folder in ["/", "/data", "/data/incoming", "/data/logs", "/etc", "/tmp"] {
        put(folder, None);
    }
    put("/etc/hostname", Some(format!("{}\n", personality.id).into_bytes()));
    put("/data/logs/system.log", Some(texts::log(personality.kind, now, |_| true).into_bytes()));
    put("/data/logs/errors.log", Some(texts::log(personality.kind, now, |level| level != "INFO").into_bytes()));
    match personality.kind {
        Kind::Ct => image(&mut put, "CT", "phantom-ct.dcm"),
        Kind::Mri => image(&mut put, "MR", "phantom-mr.dcm"),
        Kind::Archive => {
            image(&mut put, "CT", "archive-ct.dcm");
            image(&mut put, "MR", "archive-mr.dcm");
        }
        Kind::Laboratory => put(
            "/data/quality-control.csv",
            Some("項目,平均,SD,判定\r\nGLU,98.4,1.2,合格\r\nAST,31.0,0.9,合格\r\nCRP,1.02,0.05,合格\r\n".into()),
        ),
        Kind::Records => put("/data/services.csv", Some("サービス,状態\r\nDB,稼働\r\nAP,稼働\r\n連携,稼働\r\n".into())),
        Kind::Switch => put("/data/running-config.txt", Some(texts::version(Kind::Switch).into_bytes())),
    }
    nodes
}

fn image(put: &mut impl FnMut(&str, Option<Vec<u8>>), modality: &str, name: &str) {
    put("/data/images", None);
    put(&format!("/data/images/{name}"), Some(dicom(modality)));
}

/// A phantom in the DICOM file format (PS3.10 §7.1, explicit VR little endian): 256 × 256 cells in 8 bits, no patient.
fn dicom(modality: &str) -> Vec<u8> {
    const SIDE: u8 = 255;
    let mut meta = Vec::new();
    element(&mut meta, (0x0002, 0x0010), "UI", b"1.2.840.10008.1.2.1");
    let mut file = vec![0; 128];
    file.extend_from_slice(b"DICM");
    element(&mut file, (0x0002, 0x0000), "UL", &u32::try_from(meta.len()).unwrap_or_default().to_le_bytes());
    file.extend_from_slice(&meta);
    element(&mut file, (0x0008, 0x0060), "CS", modality.as_bytes());
    element(&mut file, (0x0010, 0x0010), "PN", b"PHANTOM^DEMO");
    element(&mut file, (0x0028, 0x0002), "US", &1_u16.to_le_bytes());
    element(&mut file, (0x0028, 0x0004), "CS", b"MONOCHROME2");
    for (tag, value) in [(0x0010, 256_u16), (0x0011, 256), (0x0100, 8), (0x0101, 8), (0x0102, 7), (0x0103, 0)] {
        element(&mut file, (0x0028, tag), "US", &value.to_le_bytes());
    }
    let pixels: Vec<u8> = (0..=SIDE)
        .flat_map(|row| (0..=SIDE).map(move |column| row.abs_diff(128).max(column.abs_diff(128)).wrapping_mul(4)))
        .collect();
    element(&mut file, (0x7fe0, 0x0010), "OB", &pixels);
    file
}

fn element(file: &mut Vec<u8>, (group, element): (u16, u16), representation: &str, value: &[u8]) {
    let padding = value.len() % 2;
    let length = value.len() + padding;
    file.extend_from_slice(&group.to_le_bytes());
    file.extend_from_slice(&element.to_le_bytes());
    file.extend_from_slice(representation.as_bytes());
    if representation == "OB" {
        file.extend_from_slice(&[0, 0]);
        file.extend_from_slice(&u32::try_from(length).unwrap_or_default().to_le_bytes());
    } else {
        file.extend_from_slice(&u16::try_from(length).unwrap_or_default().to_le_bytes());
    }
    file.extend_from_slice(value);
    // An odd length is filled up: with a zero byte in identifiers, with a blank in text.
    file.resize(file.len() + padding, if representation == "UI" { 0 } else { b' ' });
}
