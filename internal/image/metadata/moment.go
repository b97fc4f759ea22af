package metadata

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // a runner may have no zones of its own

	"slipway/internal/lazyregexp"
)

var (
	momentToken = lazyregexp.New(
		`(?s)\[[^\[]*\]|\\?(?:[Hh]mm(?:ss)?|Mo|MM?M?M?|Do|DDDo|DD?D?D?|ddd?d?|do?|w[ow]?|W[oW]?|Qo?|N{1,5}|YYYYYY|YYYYY|YYYY|YY|y{2,4}|yo?|gg(?:ggg?)?|GG(?:GGG?)?|e|E|a|A|hh?|HH?|kk?|mm?|ss?|S{1,9}|x|X|zz?|ZZ?|.)`)
	momentLong  = lazyregexp.New(`\[[^\[]*\]|\\?(?:LTS|LT|LL?L?L?|l{1,4})`)
	momentLongs = map[string]string{
		"LT": "h:mm A", "LTS": "h:mm:ss A", "L": "MM/DD/YYYY", "LL": "MMMM D, YYYY", "LLL": "MMMM D, YYYY h:mm A",
		"LLLL": "dddd, MMMM D, YYYY h:mm A", "l": "M/D/YYYY", "ll": "MMM D, YYYY", "lll": "MMM D, YYYY h:mm A",
		"llll": "ddd, MMM D, YYYY h:mm A",
	}
	// momentGo are the tokens that time.Format also has.
	momentGo = map[string]string{
		"M": "1", "MM": "01", "MMM": "Jan", "MMMM": "January", "D": "2", "DD": "02", "DDDD": "002", "ddd": "Mon",
		"dddd": "Monday",
		"YY":   "06", "YYYY": "2006", "A": "PM", "a": "pm", "h": "3", "hh": "03", "HH": "15", "m": "4", "mm": "04",
		"s": "5", "ss": "05",
		"Z": "-07:00", "ZZ": "-0700", "hmm": "304", "hmmss": "30405",
	}
)

// momentFormat formats a time as moment.js does in English. An empty format is ISO 8601. known tells that
// the zone of t is the requested one.
func momentFormat(t time.Time, format string, known bool) string {
	if format == "" {
		format = "YYYY-MM-DDTHH:mm:ssZ"
		if _, offset := t.Zone(); offset == 0 && known {
			format = "YYYY-MM-DDTHH:mm:ss[Z]"
		}
	}
	format = momentLong().ReplaceAllStringFunc(format, func(token string) string {
		if long, ok := momentLongs[token]; ok {
			return long
		}
		return token
	})
	return momentToken().ReplaceAllStringFunc(format, func(token string) string {
		switch {
		case len(token) > 1 && token[0] == '[':
			return token[1 : len(token)-1]
		case token[0] == '\\':
			return token[1:]
		case token == "z" || token == "zz":
			if !known {
				return ""
			}
			return t.Format("MST")
		}
		if layout, ok := momentGo[token]; ok {
			return t.Format(layout)
		}
		return momentPart(t, token)
	})
}

// momentPart formats a token that Go's time does not have, or returns text that is not a token.
func momentPart(t time.Time, token string) string {
	ms := t.Nanosecond() / 1e6
	switch token {
	case "dd":
		return t.Format("Mon")[:2]
	case "N", "NN", "NNN", "NNNNN":
		return "AD"
	case "NNNN":
		return "Anno Domini"
	case "YYYYYY":
		return fmt.Sprintf("+%06d", t.Year())
	case "Hmm", "Hmmss":
		return strconv.Itoa(t.Hour()) + t.Format("0405")[:len(token)-1]
	case "X":
		return strconv.FormatInt(t.Unix(), 10)
	case "x":
		return strconv.FormatInt(t.UnixMilli(), 10)
	}
	if token[0] == 'S' {
		return fmt.Sprintf("%03d000000", ms)[:len(token)]
	}
	if base, ok := strings.CutSuffix(token, "o"); ok && base != "" {
		n, ok := momentInt(t, base)
		if !ok {
			return token
		}
		return strconv.Itoa(n) + ordinal(n)
	}
	if n, ok := momentInt(t, token); ok {
		switch token {
		case "gg", "GG":
			n %= 100
		case "DDD": // the one that its length does not pad
			return strconv.Itoa(n)
		}
		return fmt.Sprintf("%0*d", len(token), n)
	}
	return token
}

// momentInt returns the number of a token.
func momentInt(t time.Time, token string) (int, bool) {
	isoYear, isoWeek := t.ISOWeek()
	year, week := localWeek(t)
	switch token {
	case "Y", "YYYYY", "y", "yy", "yyy", "yyyy":
		return t.Year(), true
	case "M":
		return int(t.Month()), true
	case "D":
		return t.Day(), true
	case "DDD":
		return t.YearDay(), true
	case "d", "e":
		return int(t.Weekday()), true
	case "E":
		return (int(t.Weekday())+6)%7 + 1, true
	case "w", "ww":
		return week, true
	case "W", "WW":
		return isoWeek, true
	case "gg", "gggg", "ggggg":
		return year, true
	case "GG", "GGGG", "GGGGG":
		return isoYear, true
	case "Q":
		return (int(t.Month())-1)/3 + 1, true
	case "H":
		return t.Hour(), true
	case "k", "kk":
		return (t.Hour()+23)%24 + 1, true
	}
	return 0, false
}

// localWeek returns the week of English calendars: weeks start on Sunday, and the first one has 1 January.
func localWeek(t time.Time) (year, week int) {
	saturday := t.AddDate(0, 0, int(time.Saturday-t.Weekday()))
	return saturday.Year(), (saturday.YearDay()-1)/7 + 1
}

func ordinal(n int) string {
	if n%100/10 != 1 && n%10 >= 1 && n%10 <= 3 {
		return []string{"st", "nd", "rd"}[n%10-1]
	}
	return "th"
}
