"""Media: fetch (yt-dlp), probe and extract (ffprobe, ffmpeg), and the runner of child processes."""
