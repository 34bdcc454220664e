//! Plots for people: one HTML page without any outside part, and SVG files. Renders reports; does
//! not know about the disk, the cache or the run store.

pub mod page;
pub mod svg;
