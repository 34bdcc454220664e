//! Perceptually uniform colour map: lightness grows evenly, so that equal differences look equal,
//! even in greyscale.
//!
//! It interpolates linearly between nine colours of matplotlib's `magma` (CC0).

const ANCHORS: [[u8; 3]; 9] = [
    [0x00, 0x00, 0x04],
    [0x1d, 0x11, 0x47],
    [0x51, 0x12, 0x7c],
    [0x83, 0x26, 0x81],
    [0xb7, 0x37, 0x79],
    [0xe7, 0x52, 0x63],
    [0xfc, 0x89, 0x61],
    [0xfe, 0xc4, 0x88],
    [0xfc, 0xfd, 0xbf],
];

/// Returns 256 colours from dark to bright as consecutive red, green and blue bytes.
pub(crate) fn palette() -> Vec<u8> {
    (0..256_usize)
        .flat_map(|index| {
            let scaled = index * (ANCHORS.len() - 1);
            let (anchor, part) = (scaled / 255, scaled % 255);
            let next = ANCHORS[(anchor + 1).min(ANCHORS.len() - 1)];
            std::array::from_fn::<_, 3, _>(|channel| {
                let (from, to) =
                    (usize::from(ANCHORS[anchor][channel]), usize::from(next[channel]));
                ((from * (255 - part) + to * part + 127) / 255) as u8
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lightness_is_monotonic() {
        let palette = palette();
        assert_eq!(palette.len(), 768);
        assert_eq!(palette[..3], ANCHORS[0]);
        assert_eq!(palette[765..], ANCHORS[8]);
        // Relative luminance, ITU-R BT.709.
        let light =
            |c: &[u8]| 2126 * u32::from(c[0]) + 7152 * u32::from(c[1]) + 722 * u32::from(c[2]);
        let lights: Vec<_> = palette.chunks_exact(3).map(light).collect();
        assert!(lights.is_sorted(), "{lights:?}");
    }
}
