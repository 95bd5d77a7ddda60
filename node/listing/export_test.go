package listing

// Fields returns a copy of l without what is no field of it.
func Fields(l *Listing) Listing {
	c := *l
	c.size = 0
	return c
}

// DecodeAny decodes a body without the fast way.
func DecodeAny(body []byte) (Document, error) { return decodeAny(body) }

// EncodeAny encodes a document by the library alone.
func EncodeAny(d Document) ([]byte, error) {
	v, err := canonical(map[string]any(d), MaxDepth)
	if err != nil {
		return nil, err
	}
	return encoding.Marshal(v)
}
