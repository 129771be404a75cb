//! The FLV file to publish, read on a thread of its own so that a slow pipe
//! never keeps the connection from being served.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread;

use openrtmp_core::client::ClientWaker;
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

    /// Starts the thread; `waker` tells the client about new items.
    pub(crate) fn start(self, repeat: bool, waker: ClientWaker) -> io::Result<Source> {
        /// Batches ahead of the sender: enough to hide a slow disk.
        const BATCHES: usize = 8;
        let (sender, items) = sync_channel(BATCHES);
        thread::Builder::new()
            .name("flv reader".into())
            .spawn(move || self.run(repeat, &Outlet { sender, waker }))?;
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
                return Err(self.wrong(&FlvError::Signature));
            }
            self.reader.push(&buffer[..count]);
            seen += count;
        }
        Ok(())
    }

    fn run(mut self, repeat: bool, outlet: &Outlet) {
        let mut buffer = vec![0; READ_BYTES];
        let mut tags_in_pass = 0;
        loop {
            let mut tags = Vec::new();
            let result = loop {
                match self.reader.next_tag() {
                    Ok(Some(tag)) => tags.push(tag),
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(self.damaged(&error)),
                }
            };
            tags_in_pass += tags.len();
            if !tags.is_empty() && !outlet.put(Item::Tags(tags, self.reader.offset())) {
                return;
            }
            let read = result.and_then(|()| {
                self.read(&mut buffer)
                    .map_err(|e| Failure::Runtime(format!("cannot read {}: {e}", self.name)))
            });
            match read {
                Ok(0) if repeat && tags_in_pass > 0 => {
                    if let Err(failure) = self.rewind() {
                        outlet.put(Item::End(Err(failure)));
                        return;
                    }
                    tags_in_pass = 0;
                    if !outlet.put(Item::NextPass) {
                        return;
                    }
                }
                Ok(0) => {
                    outlet.put(Item::End(Ok(())));
                    return;
                }
                Ok(count) => self.reader.push(&buffer[..count]),
                Err(failure) => {
                    outlet.put(Item::End(Err(failure)));
                    return;
                }
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

    fn wrong(&self, error: &FlvError) -> Failure {
        Failure::Usage(format!("cannot read {}: {error}", self.name))
    }

    fn damaged(&self, error: &FlvError) -> Failure {
        Failure::Runtime(format!("cannot read {}: {error}", self.name))
    }
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

struct Outlet {
    sender: SyncSender<Item>,
    waker: ClientWaker,
}

impl Outlet {
    /// False if nobody listens any more.
    fn put(&self, item: Item) -> bool {
        let taken = self.sender.send(item).is_ok();
        self.waker.wake();
        taken
    }
}

const READ_BYTES: usize = 64 * 1024;
