package search

import "math"

const earthKM = 6371.0088 // mean radius

func (p Point) valid() bool {
	return p.Latitude >= -90 && p.Latitude <= 90 && p.Longitude >= -180 && p.Longitude <= 180
}

// Kilometres returns the great circle distance by the haversine formula.
func Kilometres(a, b Point) float64 {
	const rad = math.Pi / 180
	sinLat := math.Sin((b.Latitude - a.Latitude) * rad / 2)
	sinLon := math.Sin((b.Longitude - a.Longitude) * rad / 2)
	h := sinLat*sinLat + math.Cos(a.Latitude*rad)*math.Cos(b.Latitude*rad)*sinLon*sinLon
	return 2 * earthKM * math.Asin(math.Sqrt(min(1, h)))
}
