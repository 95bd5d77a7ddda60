package listing

// Fields returns a copy of l without what is no field of it.
func Fields(l *Listing) Listing {
	c := *l
	c.size = 0
	return c
}

// DecodeAny decodes a body without the fast way.
func DecodeAny(body []byte) (Document, error) { return decodeAny(body) }
