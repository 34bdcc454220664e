//! Scales of a preview image, which `spectrogram` writes into the file as text chunks.

/// Keyword of the length of the clip in seconds.
const SECONDS: &str = "Seconds";
/// Keyword of the frequencies: `HERTZ:HEIGHT` pairs, with heights from 0 at the bottom to 1.
const FREQUENCIES: &str = "Frequencies";

/// Length of a clip, and the heights of round frequencies in its image.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Scale {
    pub(crate) seconds: Option<f64>,
    /// Pairs of Hz and height, 0 to 1.
    pub(crate) frequencies: Vec<[f64; 2]>,
}

impl Scale {
    /// Reads the scales of a PNG file; what is missing or not a number is left out.
    pub(crate) fn of(png: &[u8]) -> Scale {
        let mut scale = Scale::default();
        let number = |text: &str| text.parse::<f64>().ok().filter(|value| value.is_finite());
        for (keyword, text) in texts(png) {
            if keyword == SECONDS {
                scale.seconds = number(&text).filter(|seconds| *seconds > 0.0);
            } else if keyword == FREQUENCIES {
                let pair = |pair: &str| {
                    let (hertz, height) = pair.split_once(':')?;
                    Some([number(hertz)?, number(height)?])
                };
                scale.frequencies = text.split(' ').filter_map(pair).collect();
            }
        }
        scale
    }
}

/// Returns keyword and text of each `tEXt` chunk (PNG specification, sections 5.3 and 11.3.3.3).
fn texts(png: &[u8]) -> Vec<(String, String)> {
    let mut rest = png.get(8..).unwrap_or_default();
    let mut found = Vec::new();
    while let Some((head, after)) = rest.split_first_chunk::<8>() {
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let Some(data) = after.get(..length) else { break };
        if head[4..] == *b"tEXt" {
            let text = String::from_utf8_lossy(data);
            found
                .extend(text.split_once('\0').map(|(key, text)| (key.to_owned(), text.to_owned())));
        }
        // A checksum of four bytes ends the chunk.
        rest = after.get(length + 4..).unwrap_or_default();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
        let length = (data.len() as u32).to_be_bytes();
        [&length[..], name, data, &[0; 4]].concat()
    }

    #[test]
    fn scales_of_chunks() {
        let png = [
            b"\x89PNG\r\n\x1a\n".to_vec(),
            chunk(b"IHDR", &[1; 13]),
            chunk(b"tEXt", b"Seconds\x009.98"),
            chunk(b"tEXt", b"Frequencies\x00100:0.1 x:1 1000:0.5"),
        ]
        .concat();
        let expected =
            Scale { seconds: Some(9.98), frequencies: vec![[100.0, 0.1], [1000.0, 0.5]] };
        assert_eq!(Scale::of(&png), expected);
        for end in 0..png.len() {
            let _ = Scale::of(&png[..end]);
        }
        assert_eq!(Scale::of(b"no picture"), Scale::default());
    }
}
