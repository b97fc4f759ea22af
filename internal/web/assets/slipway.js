// Updates pages while they are open.
