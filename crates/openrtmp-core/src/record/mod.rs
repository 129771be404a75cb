//! Recording streams to FLV files.

mod flv_file;
mod template;
