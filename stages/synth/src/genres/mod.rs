//! The ten genres, one file each. A genre chooses the instruments and what they play.
//!
//! Unaware of sound synthesis.

mod blues;
mod classical;
mod country;
mod disco;
mod hiphop;
mod jazz;
mod metal;
mod players;
mod pop;
mod reggae;
mod rock;

use crate::studio::Studio;

/// A genre of music.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it all")]
pub enum Genre {
    Blues,
    Classical,
    Country,
    Disco,
    Hiphop,
    Jazz,
    Metal,
    Pop,
    Reggae,
    Rock,
}

impl Genre {
    /// All genres, sorted by name.
    pub const ALL: [Genre; 10] = [
        Genre::Blues,
        Genre::Classical,
        Genre::Country,
        Genre::Disco,
        Genre::Hiphop,
        Genre::Jazz,
        Genre::Metal,
        Genre::Pop,
        Genre::Reggae,
        Genre::Rock,
    ];

    /// Returns the name in lower case, suitable for a folder.
    pub fn name(self) -> &'static str {
        match self {
            Genre::Blues => "blues",
            Genre::Classical => "classical",
            Genre::Country => "country",
            Genre::Disco => "disco",
            Genre::Hiphop => "hiphop",
            Genre::Jazz => "jazz",
            Genre::Metal => "metal",
            Genre::Pop => "pop",
            Genre::Reggae => "reggae",
            Genre::Rock => "rock",
        }
    }
}

/// Plays a whole piece of a genre into a studio.
pub(crate) fn play(genre: Genre, studio: &mut Studio) {
    match genre {
        Genre::Blues => blues::play(studio),
        Genre::Classical => classical::play(studio),
        Genre::Country => country::play(studio),
        Genre::Disco => disco::play(studio),
        Genre::Hiphop => hiphop::play(studio),
        Genre::Jazz => jazz::play(studio),
        Genre::Metal => metal::play(studio),
        Genre::Pop => pop::play(studio),
        Genre::Reggae => reggae::play(studio),
        Genre::Rock => rock::play(studio),
    }
}
