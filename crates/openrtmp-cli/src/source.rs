//! The FLV file to publish, read on a thread of its own so that a slow pipe
//! never keeps the connection from being served.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread;

use openrtmp_protocol::flv::{FlvError, FlvReader, Tag};

use crate::exit::Failure;

/// An input whose first bytes are those of an FLV file.
pub(crate) struct Input {
    name: String,
    stream: Stream,
    reader: FlvReader,
    size: Option<u64>,
}

enum Stream {
    File(File),
    Stdin(io::Stdin),
}

/// What the reading thread has to say.
pub(crate) enum Item {
    /// Tags in order, and how far into the file they reach.
    Tags(Vec<Tag>, u64),
    /// The file ended and will start again.
    NextPass,
    /// Nothing follows; an error if the file is damaged.
    End(Result<(), Failure>),
}

/// The other end of the reading thread.
pub(crate) struct Source {
    items: Receiver<Item>,
}

impl Input {
    /// Opens a file, or standard input for `-`, and looks at its first bytes.
    pub(crate) fn open(path: &Path) -> Result<Input, Failure> {
        let name = path.display().to_string();
        let (stream, size) = if path.as_os_str() == "-" {
            (Stream::Stdin(io::stdin()), None)
        } else {
            let file =
                File::open(path).map_err(|e| Failure::Usage(format!("cannot read {name}: {e}")))?;
            let metadata = file
                .metadata()
                .map_err(|e| Failure::Usage(format!("cannot read {name}: {e}")))?;
            if metadata.is_dir() {
                return Err(Failure::Usage(format!(
                    "{name} is a folder, not an FLV file"
                )));
            }
            (
                Stream::File(file),
                metadata.is_file().then_some(metadata.len()),
            )
        };
        let mut input = Input {
            name,
            stream,
            reader: FlvReader::new(),
            size,
        };
        input.check_signature()?;
        Ok(input)
    }

    /// Bytes of the file, if it has an end.
    pub(crate) fn size(&self) -> Option<u64> {
        self.size
    }

    /// Starts the thread, which calls `wake` after each new item.
    pub(crate) fn start(
        self,
        repeat: bool,
        wake: impl Fn() + Send + 'static,
    ) -> io::Result<Source> {
        /// Batches ahead of the sender: enough to hide a slow disk.
        const BATCHES: usize = 8;
        let (sender, items) = sync_channel(BATCHES);
        thread::Builder::new()
            .name("flv reader".into())
            .spawn(move || self.run(repeat, &ItemSender { sender, wake }))?;
        Ok(Source { items })
    }

    fn check_signature(&mut self) -> Result<(), Failure> {
        const SIGNATURE: usize = 3;
        let mut seen = 0;
        while seen < SIGNATURE {
            let mut buffer = vec![0; READ_BYTES];
            let count = self
                .read(&mut buffer)
                .map_err(|e| Failure::Usage(format!("cannot read {}: {e}", self.name)))?;
            if count == 0 {
                return Err(Failure::Usage(format!("{} is not an FLV file", self.name)));
            }
            if seen == 0 && !b"FLV".starts_with(&buffer[..count.min(SIGNATURE)]) {
                let error = FlvError::Signature;
                return Err(Failure::Usage(format!(
                    "cannot read {}: {error}",
                    self.name
                )));
            }
            self.reader.push(&buffer[..count]);
            seen += count;
        }
        Ok(())
    }

    fn run(mut self, repeat: bool, items: &ItemSender<impl Fn()>) {
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let result = match self.pass(&mut buffer, items) {
                Ok(Pass::Whole) if repeat => self.rewind(),
                Ok(Pass::Whole | Pass::Empty) => {
                    items.put(Item::End(Ok(())));
                    return;
                }
                Ok(Pass::Unheard) => return,
                Err(failure) => Err(failure),
            };
            let goes_on = match result {
                Ok(()) => items.put(Item::NextPass),
                Err(failure) => {
                    items.put(Item::End(Err(failure)));
                    false
                }
            };
            if !goes_on {
                return;
            }
        }
    }

    /// Reads up to the end of the file.
    fn pass(&mut self, buffer: &mut [u8], items: &ItemSender<impl Fn()>) -> Result<Pass, Failure> {
        let mut pass = Pass::Empty;
        loop {
            let mut tags = Vec::new();
            let mut damage = None;
            loop {
                match self.reader.next_tag() {
                    Ok(Some(tag)) => tags.push(tag),
                    Ok(None) => break,
                    Err(error) => {
                        damage = Some(error);
                        break;
                    }
                }
            }
            if !tags.is_empty() {
                pass = Pass::Whole;
                if !items.put(Item::Tags(tags, self.reader.offset())) {
                    return Ok(Pass::Unheard);
                }
            }
            if let Some(error) = damage {
                return Err(self.unreadable(error));
            }
            match self.read(buffer) {
                Ok(0) => return Ok(pass),
                Ok(count) => self.reader.push(&buffer[..count]),
                Err(error) => return Err(self.unreadable(error)),
            }
        }
    }

    fn rewind(&mut self) -> Result<(), Failure> {
        self.reader = FlvReader::new();
        match &mut self.stream {
            Stream::File(file) => file
                .rewind()
                .map_err(|e| Failure::Runtime(format!("cannot read {} again: {e}", self.name))),
            Stream::Stdin(_) => Err(Failure::Runtime("standard input cannot be repeated".into())),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let result = match &mut self.stream {
                Stream::File(file) => file.read(buffer),
                Stream::Stdin(stdin) => stdin.lock().read(buffer),
            };
            match result {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    fn unreadable(&self, error: impl Display) -> Failure {
        Failure::Runtime(format!("cannot read {}: {error}", self.name))
    }
}

/// How reading a file from one end to the other went.
enum Pass {
    Whole,
    /// There was no tag in it; repeating that would never end.
    Empty,
    /// Nobody listens any more.
    Unheard,
}

impl Source {
    /// The next item if there is one yet; the waker is used when there is.
    pub(crate) fn try_next(&self) -> Option<Item> {
        match self.items.try_recv() {
            Ok(item) => Some(item),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Item::End(Ok(()))),
        }
    }
}

struct ItemSender<W> {
    sender: SyncSender<Item>,
    wake: W,
}

impl<W: Fn()> ItemSender<W> {
    /// False if nobody listens any more.
    fn put(&self, item: Item) -> bool {
        let taken = self.sender.send(item).is_ok();
        (self.wake)();
        taken
    }
}

const READ_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// FLV 10.1, annex E: header, PreviousTagSize0, audio tags of one byte at 0
    /// and 23 ms.
    const FLV: [u8; 45] = [
        b'F', b'L', b'V', 1, 4, 0, 0, 0, 9, 0, 0, 0, 0, // header
        8, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0xA0, 0, 0, 0, 12, // first tag
        8, 0, 0, 1, 0, 0, 23, 0, 0, 0, 0, 0xA1, 0, 0, 0, 12, // second tag
    ];

    fn items(content: &[u8], repeat: bool, limit: usize) -> Vec<Item> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        let input = Input::open(file.path()).unwrap();
        assert_eq!(input.size(), Some(content.len() as u64));
        let source = input.start(repeat, || {}).unwrap();
        let mut items = Vec::new();
        while items.len() < limit {
            let item = source.items.recv().unwrap();
            let last = matches!(item, Item::End(_));
            items.push(item);
            if last {
                break;
            }
        }
        items
    }

    fn timestamps(item: &Item) -> Vec<u32> {
        match item {
            Item::Tags(tags, _) => tags.iter().map(|tag| tag.timestamp).collect(),
            _ => panic!("not tags"),
        }
    }

    #[test]
    fn a_file_is_read_to_its_end() {
        let items = items(&FLV, false, 9);
        assert_eq!(timestamps(&items[0]), [0, 23]);
        assert!(matches!(items[0], Item::Tags(_, 45)));
        assert!(matches!(items[1], Item::End(Ok(()))));
    }

    #[test]
    fn a_repeated_file_starts_again() {
        let items = items(&FLV, true, 5);
        assert_eq!(timestamps(&items[0]), [0, 23]);
        assert!(matches!(items[1], Item::NextPass));
        assert_eq!(timestamps(&items[2]), [0, 23]);
        assert!(matches!(items[3], Item::NextPass));
    }

    #[test]
    fn a_file_cut_off_is_good_up_to_there() {
        let items = items(&FLV[..40], false, 9);
        assert_eq!(timestamps(&items[0]), [0]);
        assert!(matches!(items[1], Item::End(Ok(()))));
    }

    #[test]
    fn a_damaged_file_fails_after_its_good_tags() {
        let mut content = FLV.to_vec();
        content.extend_from_slice(&[0x1F; 40]);
        let items = items(&content, true, 9);
        assert_eq!(timestamps(&items[0]), [0, 23]);
        assert!(matches!(&items[1], Item::End(Err(Failure::Runtime(m))) if m.contains("byte")));
    }

    #[test]
    fn a_file_without_tags_is_not_repeated_for_ever() {
        let items = items(&FLV[..13], true, 9);
        assert_eq!(items.len(), 1);
        assert!(matches!(items[0], Item::End(Ok(()))));
    }
}
