"""Small texts written for this project, and the sources that wrote them."""
