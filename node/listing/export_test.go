package listing

// Fields returns a copy of l without what is no field of it.
func Fields(l *Listing) Listing {
	c := *l
	c.size = 0
	return c
}
