//! Where a signed-in caller sits: the device, the keyboard, the console and the current folder.

use super::commands::Surroundings;
use super::editor::{Echo, Edited, LineEditor};
use super::terminal::{Console, Exit, Input, Keyboard, Size};
use super::{SimulatedDevice, files};
use chrono::Utc;
use russh::server::Msg;
use russh::{ChannelReadHalf, ChannelWriteHalf, Sig};
use std::sync::Arc;

/// Ctrl-C, which the signal of that name stands for as well.
const INTERRUPT: u8 = 0x03;

/// One caller's shell, or one command.
pub struct Seat {
    /// The device.
    pub device: Arc<SimulatedDevice>,
    /// Who is signed in.
    pub account: String,
    /// The current folder.
    pub folder: String,
    /// What comes from the caller.
    pub keyboard: Keyboard,
    /// What goes to the caller.
    pub console: Console,
}

/// How a question was answered.
#[derive(Debug)]
pub enum Asked {
    /// With a line.
    Line(String),
    /// With a line beyond what the editor holds.
    TooLong,
    /// With Ctrl-C.
    Interrupted,
    /// With the end of input.
    End,
    /// Not at all: the session is over.
    Over(Exit),
}

impl Seat {
    /// A seat at the device's home folder.
    pub fn new(
        device: Arc<SimulatedDevice>,
        account: String,
        read: ChannelReadHalf,
        write: ChannelWriteHalf<Msg>,
        size: Option<Size>,
    ) -> Self {
        Self {
            device,
            account,
            folder: files::HOME.to_owned(),
            keyboard: Keyboard::new(read, size),
            console: Console::new(write, size.is_some()),
        }
    }

    /// What commands may look at, now.
    pub fn surroundings(&self) -> Surroundings<'_> {
        Surroundings {
            personality: &self.device.personality,
            files: &self.device.files,
            booted: self.device.booted,
            account: &self.account,
            folder: &self.folder,
            now: Utc::now(),
        }
    }

    /// Asks for a line. Without a terminal neither the prompt nor the typing is shown.
    pub async fn ask(&mut self, editor: &mut LineEditor, prompt: &str, echo: Echo) -> Result<Asked, russh::Error> {
        if let Some(size) = self.keyboard.size() {
            editor.set_columns(size.columns);
        }
        let mut screen = editor.begin(prompt, echo);
        loop {
            if !self.keyboard.has_bytes() {
                self.show(&mut screen).await?;
            }
            let byte = match self.keyboard.next_byte().await {
                Ok(byte) => byte,
                Err(Input::Signal(Sig::INT)) => INTERRUPT,
                Err(Input::Signal(signal)) => return Ok(Asked::Over(Exit::Signal(signal))),
                Err(Input::Gone) => return Ok(Asked::Over(Exit::Gone)),
                // The last line of a script may lack its line end.
                Err(Input::End) if !editor.is_empty() => b'\n',
                Err(Input::End) => return Ok(Asked::End),
                Err(Input::Resized | Input::Bytes(_)) => {
                    editor.set_columns(self.keyboard.size().map_or(80, |size| size.columns));
                    continue;
                }
            };
            let asked = match editor.feed(byte, &mut screen) {
                Edited::Pending => continue,
                Edited::Line(line) => Asked::Line(line),
                Edited::TooLong => Asked::TooLong,
                Edited::Interrupted => Asked::Interrupted,
                Edited::End => Asked::End,
            };
            self.show(&mut screen).await?;
            return Ok(asked);
        }
    }

    async fn show(&self, screen: &mut String) -> Result<(), russh::Error> {
        if self.console.is_terminal() && !screen.is_empty() {
            self.console.print(screen).await?;
        }
        screen.clear();
        Ok(())
    }
}
