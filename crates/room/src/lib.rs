//! The server's machines: stager, lobby and game.
