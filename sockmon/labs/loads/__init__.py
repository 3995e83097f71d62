"""What a lab can be made of: real sockets and files, run inside its namespaces; one function a kind."""
