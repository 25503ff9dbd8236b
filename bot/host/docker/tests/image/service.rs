//! What runs in the containers of the tests: one static binary, named `/svc` in its image.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| arguments.get(at).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    match arguments.first().map(String::as_str) {
        // Healthy as soon as something listens.
        Some("--health") => {
            let well = TcpStream::connect("127.0.0.1:80").is_ok();
            std::process::exit(if well { 0 } else { 1 });
        }
        // exit CODE MILLISECONDS
        Some("exit") => {
            println!("about to end");
            std::thread::sleep(Duration::from_millis(number(2)));
            std::process::exit(number(1) as i32);
        }
        Some("talk") => {
            let mut out = std::io::stdout();
            for line in 1..=3 {
                println!("line {line}");
            }
            eprintln!("a word on the other stream");
            let _ = out.write_all(b"\x1b[31mred\x1b[0m and \xff\r\n");
            let _ = out.write_all("long ".repeat(10_000).as_bytes());
            let _ = out.write_all(b"\nlast\n");
            let _ = out.flush();
            sleep();
        }
        Some("sleep") => sleep(),
        // serve MILLISECONDS-BEFORE
        _ => {
            std::thread::sleep(Duration::from_millis(number(1)));
            let listener = TcpListener::bind("0.0.0.0:80").expect("port 80 of a container is free");
            println!("listening");
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                let mut request = [0u8; 1024];
                let _ = stream.read(&mut request);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
            }
        }
    }
}

fn sleep() {
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}
