"""The stdin and stdout of this process, as the server and the bridge use them."""
