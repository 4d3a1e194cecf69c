package emulator

import (
	"math/rand/v2"
	"slices"
	"strings"
	"unicode"
)

// wish is what the words ask for.
type wish struct {
	kind   string          // what fills the picture: "land", "sea", "city", "space", …
	main   string          // what stands in front: "fox", "portrait", …; "" for nothing
	noun   string          // the word that said so: "tiger"
	things []string        // what else stands about: "house", "boat", …
	hour   string          // "day", "sunset", "dawn", "night"
	has    map[string]bool // weather, season and the like: "snow", "clouds", "autumn", …
	colors map[string]rgb  // of "all", "sky", "land", "water", "main"
	style  string          // "" or "watercolor", "neon", "pixel", "mono", …
}

// meaning is what a word stands for.
type meaning struct {
	group string // "kind", "main", "thing", "hour", "has", "style"
	value string
}

// dictionary is every word that the drawing knows, but for colours.
func dictionary() map[string]meaning {
	d := map[string]meaning{}
	add := func(group, value, words string) {
		for w := range strings.FieldsSeq(words) {
			d[w] = meaning{group, value}
		}
	}
	add("kind", "land", "landscape mountain mountains hill hills valley alps peak peaks canyon cliff cliffs scenery nature "+
		"countryside vineyard park garden village")
	add("kind", "meadow", "meadow field fields grass prairie farm pasture steppe lawn flowers wildflowers")
	add("kind", "sea", "sea ocean coast beach shore bay lake river harbor harbour waves island lagoon fjord seascape waterfall")
	add("kind", "forest", "forest woods woodland jungle trees pines rainforest grove")
	add("kind", "desert", "desert dune dunes sahara sand oasis")
	add("kind", "city", "city skyline downtown street cityscape skyscraper skyscrapers buildings tokyo york london paris "+
		"metropolis town cyberpunk urban")
	add("kind", "space", "space galaxy nebula cosmos universe planet planets star milky astronomy alien orbit asteroid")
	add("kind", "deep", "underwater reef coral fish jellyfish whale shark aquarium submarine diver")
	add("kind", "pattern", "pattern mandala geometric tiles mosaic kaleidoscope logo icon symmetry ornament stained")
	add("kind", "abstract", "abstract fluid marble swirl swirls smoke texture liquid gradient background wallpaper energy dream "+
		"surreal fractal waveform music")
	add("main", "fox", "fox foxes vixen")
	add("main", "cat", "cat cats kitten kitty tiger lynx lion panther leopard cheetah")
	add("main", "dog", "dog dogs puppy wolf wolves husky corgi coyote")
	add("main", "bear", "bear bears panda koala teddy raccoon hamster mouse otter beaver")
	add("main", "rabbit", "rabbit bunny hare")
	add("main", "owl", "owl owls bird parrot eagle hawk raven penguin chick")
	add("main", "robot", "robot robots android mech cyborg droid machine")
	add("main", "portrait", "portrait woman man girl boy person face lady gentleman king queen princess knight wizard witch "+
		"astronaut soldier child people elf warrior selfie model actor dancer")
	add("main", "flower", "flower rose roses sunflower tulip lotus daisy lily orchid dahlia peony blossom bouquet")
	add("main", "fruit", "fruit apple apples orange oranges lemon peach pear plum berries cherry cherries still food bowl vase "+
		"egg ball balls sphere spheres glass bottle cup coffee tea cake")
	add("thing", "house", "house cottage cabin hut barn home farmhouse chalet")
	add("thing", "castle", "castle fortress palace tower towers cathedral temple ruins")
	add("thing", "lighthouse", "lighthouse beacon")
	add("thing", "boat", "boat boats sailboat ship ships yacht sail pirate")
	add("thing", "balloon", "balloon balloons airship zeppelin")
	add("thing", "birds", "birds gulls seagulls flock swallows geese crows")
	add("thing", "tree", "tree oak willow maple cherryblossom bonsai palm")
	add("thing", "figure", "figure hiker traveler traveller walker wanderer silhouette monk samurai")
	add("hour", "sunset", "sunset dusk evening twilight golden sundown")
	add("hour", "dawn", "dawn sunrise morning daybreak")
	add("hour", "night", "night midnight moonlight moonlit nocturnal starry stars dark moon")
	add("hour", "day", "day noon daylight sunny bright sunlight midday")
	add("has", "snow", "snow snowy winter ice icy frozen arctic glacier blizzard frost christmas")
	add("has", "autumn", "autumn fall october harvest")
	add("has", "spring", "spring blossoms bloom blooming sakura")
	add("has", "rain", "rain rainy drizzle wet")
	add("has", "storm", "storm stormy thunder lightning tempest dramatic gloomy moody")
	add("has", "fog", "fog foggy mist misty haze hazy")
	add("has", "clouds", "cloud clouds cloudy overcast")
	add("has", "aurora", "aurora borealis northern")
	add("has", "rainbow", "rainbow")
	add("has", "fire", "fire flame flames lava volcano burning ember")
	add("has", "stars", "stars starry starlight")
	add("has", "moon", "moon moonlight moonlit")
	add("style", "mono", "monochrome grayscale noir greyscale sketch pencil charcoal ink engraving etching")
	add("style", "neon", "neon cyberpunk synthwave vaporwave glowing retrowave")
	add("style", "pastel", "pastel soft watercolor watercolour gentle delicate")
	add("style", "vintage", "vintage retro old sepia antique nostalgic film analog")
	add("style", "pixel", "pixel pixelart 8bit voxel lowpoly")
	add("style", "vivid", "vivid vibrant colorful colourful saturated bold popart")
	return d
}

// colorWords are the colours that the drawing knows.
func colorWords() map[string]rgb {
	c := map[string]rgb{}
	add := func(v uint32, words string) {
		for w := range strings.FieldsSeq(words) {
			c[w] = ink(v)
		}
	}
	add(0xd3362c, "red scarlet crimson ruby vermilion")
	add(0x8a1c3b, "burgundy maroon wine")
	add(0xf08a2c, "orange tangerine copper rust amber")
	add(0xf2c230, "yellow lemon gold golden")
	add(0x4f9d3f, "green lime jade moss olive")
	add(0x1f7a5a, "emerald viridian")
	add(0x2fb3a8, "teal turquoise cyan aqua mint")
	add(0x2f6fd0, "blue azure cobalt sapphire")
	add(0x1d2f6f, "navy indigo")
	add(0x8148c0, "purple violet amethyst lavender lilac")
	add(0xe36aa8, "pink magenta fuchsia salmon")
	add(0x7a4f2c, "brown bronze chestnut sepia")
	add(0xf2f0ea, "white ivory cream pearl")
	add(0x1a1a1e, "black ebony onyx")
	add(0x8d939b, "gray grey silver")
	return c
}

// wordsOf splits a text into lower-case words.
func wordsOf(text string) []string {
	return strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}

// read makes a wish of the words, and of chance what they leave open. What the
// negative words name is left out.
func read(positive, negative string, rng *rand.Rand) *wish {
	w := &wish{has: map[string]bool{}, colors: map[string]rgb{}}
	dict, colors := dictionary(), colorWords()
	unwanted := wordsOf(negative)
	words := slices.DeleteFunc(wordsOf(positive), func(s string) bool { return slices.Contains(unwanted, s) })
	for i, word := range words {
		if c, ok := colors[word]; ok {
			w.addColor(c, words[i+1:], dict)
		}
		m, ok := dict[word]
		if !ok {
			continue
		}
		if m.group == "main" && (w.main == "" || (w.main == m.value && vague(w.noun))) {
			w.noun = word
		}
		w.add(m)
	}
	w.settle(rng)
	return w
}

// vague says whether a word names only the kind of what stands in front.
func vague(noun string) bool {
	return slices.Contains([]string{"portrait", "person", "face", "people", "selfie", "still", "food", "fruit", "bowl", "flower", "bouquet"}, noun)
}

func (w *wish) add(m meaning) {
	first := func(s *string) {
		if *s == "" {
			*s = m.value
		}
	}
	switch m.group {
	case "kind":
		first(&w.kind)
		w.has[m.value] = true // a mountain lake is both
	case "main":
		first(&w.main)
	case "hour":
		first(&w.hour)
	case "style":
		first(&w.style)
	case "thing":
		if !slices.Contains(w.things, m.value) {
			w.things = append(w.things, m.value)
		}
	case "has":
		w.has[m.value] = true
	}
}

// addColor gives a colour to what the next words name, or to all.
func (w *wish) addColor(c rgb, next []string, dict map[string]meaning) {
	target := "all"
	for _, word := range next[:min(2, len(next))] {
		if word == "sky" || word == "skies" || word == "clouds" {
			target = "sky"
			break
		}
		m, ok := dict[word]
		if !ok {
			continue
		}
		switch {
		case m.group == "main":
			target = "main"
		case m.value == "sea" || m.value == "deep":
			target = "water"
		case m.group == "kind" && m.value != "abstract" && m.value != "pattern" && m.value != "space":
			target = "land"
		}
		break
	}
	if _, taken := w.colors[target]; taken {
		target += "2"
	}
	w.colors[target] = c
}

// settle fills in by chance what the words leave open.
func (w *wish) settle(rng *rand.Rand) {
	pick := func(list ...string) string { return list[rng.IntN(len(list))] }
	if w.hour == "" {
		w.hour = pick("day", "day", "sunset", "dawn", "night")
		if w.has["aurora"] || w.has["stars"] || w.style == "neon" {
			w.hour = "night"
		}
		if w.style != "neon" && (w.has["rain"] || w.has["fog"]) {
			w.hour = pick("day", "dawn")
		}
	}
	switch {
	case w.kind != "":
	case len(w.things) > 0:
		w.kind = map[string]string{"boat": "sea", "lighthouse": "sea"}[w.things[0]]
		if w.kind == "" {
			w.kind = pick("land", "meadow")
		}
	case w.main == "portrait" || w.main == "robot" || w.main == "fruit":
		w.kind = "plain"
	case w.main != "":
		w.kind = pick("forest", "meadow", "land")
	case w.has["snow"] || w.has["autumn"] || w.has["spring"]:
		w.kind = pick("land", "forest", "meadow")
	case w.has["rainbow"] || w.has["storm"] || w.has["fog"] || w.has["aurora"]:
		w.kind = pick("land", "sea")
	default:
		w.kind = pick("abstract", "land", "sea", "pattern", "abstract", "meadow")
	}
}
