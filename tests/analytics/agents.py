"""Agent strings of browsers in use, by short names."""

_KIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
_APPLE = "AppleWebKit/605.1.15 (KHTML, like Gecko)"

CHROME = f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_KIT} Chrome/140.0.0.0 Safari/537.36"
EDGE = f"{CHROME} Edg/140.0.0.0"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
SAFARI = f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {_APPLE} Version/18.1 Safari/605.1.15"
IPHONE = f"Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) {_APPLE} Version/18.1 Mobile/15E148 Safari/604.1"
IPAD = f"Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) {_APPLE} Version/17.5 Mobile/15E148 Safari/604.1"
PIXEL = f"Mozilla/5.0 (Linux; Android 15; Pixel 9) {_KIT} Chrome/140.0.0.0 Mobile Safari/537.36"
HEADLESS = f"Mozilla/5.0 (X11; Linux x86_64) {_KIT} HeadlessChrome/140.0.0.0 Safari/537.36"

# What shows pages to people within something else, or is seldom seen, by what it is.
_IOS = f"Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) {_APPLE}"
_VIEW = f"Mozilla/5.0 (Linux; Android 14; SM-S921B; wv) {_KIT} Version/4.0 Chrome/140.0.0.0 Mobile Safari/537.36"
_DESK = f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_KIT}"
_ELECTRON = "Chrome/142.0.7444.265 Electron/39.5.1 Safari/537.36"
IN_APPS = {
    "Facebook, iPhone": f"{_IOS} Mobile/22B83 [FBAN/FBIOS;FBAV/480.0.0.32.109;FBDV/iPhone15,2;FBSN/iOS;FBSV/18.1;FBLC/nl_NL]",
    "Facebook, Android": f"{_VIEW} [FB_IAB/FB4A;FBAV/480.0.0.54.88;IABMV/1;]",
    "Messenger": f"{_VIEW} [FB_IAB/Orca-Android;FBAV/470.0.0.1.2;]",
    "Instagram, iPhone": f"{_IOS} Mobile/22B83 Instagram 350.0.0.23.91 (iPhone15,2; iOS 18_1; nl_NL; nl; scale=3.00)",
    "Instagram, Android": f"{_VIEW} Instagram 350.0.0.45.92 Android (34/14; 450dpi; 1080x2340; samsung; SM-S921B; nl_NL)",
    "Threads": f"{_VIEW} Barcelona 350.0.0.0 Android (34/14; 450dpi)",
    "TikTok, iPhone": f"{_IOS} Mobile/22B83 musical_ly_36.6.0 JsSdk/2.0 NetType/WIFI ByteLocale/nl BytedanceWebview/d8a21c6",
    "TikTok, Android": f"{_VIEW} trill_360605 JsSdk/1.0 AppName/musical_ly ByteLocale/nl AppId/1233 BytedanceWebview/d8a21c6",
    "LinkedIn": f"{_IOS} Mobile/15E148 [LinkedInApp]/9.30.1570",
    "Snapchat": f"{_IOS} Mobile/15E148 Snapchat/13.10.0.44 (like Safari/8619.2.8, panda)",
    "Pinterest, iPhone": f"{_IOS} Mobile/15E148 [Pinterest/iOS]",
    "Pinterest, Android": f"{_VIEW} [Pinterest/Android]",
    "Twitter, iPhone": f"{_IOS} Mobile/22B83 Twitter for iPhone/10.65",
    "Twitter, Android": f"{_VIEW} TwitterAndroid",
    "WhatsApp, Android": f"{_VIEW} WhatsApp/2.24.20.89",
    "WhatsApp, Windows": f"{_DESK} WhatsApp/2.2134.10 {_ELECTRON}",
    "Telegram": f"{_VIEW} Telegram-Android/11.2.3 (Samsung SM-S921B; Android 14; SDK 34; HIGH)",
    "WeChat": f"{_IOS} Mobile/15E148 MicroMessenger/8.0.50(0x18003231) NetType/WIFI Language/nl",
    "LINE": f"{_IOS} Mobile/15E148 Safari Line/14.17.0",
    "KakaoTalk": f"{_VIEW} KAKAOTALK/10.9.5 (INAPP)",
    "Naver": f"{_VIEW} NAVER(inapp; search; 1000; 12.7.3)",
    "Daum": f"{_VIEW} DaumApps/7.22.0 DaumDevice/mobile",
    "Google": f"{_IOS} GSA/340.0.686144444 Mobile/15E148 Safari/604.1",
    "Bing": f"{_VIEW} BingSapphire/28.8.420911",
    "Yandex": f"{_VIEW} YandexSearch/24.90 YandexSearchBrowser/24.90",
    "Baidu": f"{_VIEW} baiduboxapp/13.70 (Baidu; P1 14)",
    "Sogou": f"{_VIEW} AWP/2.0 SogouMSE,SogouMobileBrowser/5.22.8",
    "DuckDuckGo": f"{_IOS} Version/18.1 Mobile/15E148 DuckDuckGo/7 Safari/605.1.15",
    "Ecosia": f"{_IOS} Version/18.1 (Ecosia ios@10.4.0.2026) Mobile/15E148 Safari/605.1.15",
    "Outlook": f"{_IOS} Mobile/15E148 Outlook-iOS/711.4.1",
    "Reddit": f"{_VIEW} Reddit/2024.44.0/Android 14",
    "Flipboard": f"{_IOS} Mobile/15E148 Flipboard/4.3.20",
    "ChatGPT": f"{_IOS} Mobile/15E148 ChatGPT/1.2024.300",
    "Teams": f"{_DESK} Teams/24.1 {_ELECTRON}",
    "Slack": f"{_DESK} Slack_SSB/4.40 {_ELECTRON}",
    "Discord": f"{_DESK} discord/1.0.9165 {_ELECTRON}",
    "Obsidian": f"{_DESK} obsidian/1.11.7 {_ELECTRON}",
    "Samsung Internet": f"Mozilla/5.0 (Linux; Android 10; K) {_KIT} SamsungBrowser/26.0 Chrome/122.0.0.0 Mobile Safari/537.36",
    "Silk": f"Mozilla/5.0 (Linux; Android 11; KFTRWI) {_KIT} Silk/128.4.1 like Chrome/128.0.6613.187 Safari/537.36",
    "Opera Mini": "Opera/9.80 (J2ME/MIDP; Opera Mini/7.1.32052/29.3709; U; en) Presto/2.8.119 Version/11.10",
    "UC Browser": "UCWEB/2.0 (Java; U; MIDP-2.0; en-US; nokia5130c-2) U2/1.0.0 UCBrowser/9.4.1.482 U2/1.0.0 Mobile",
    "a telephone called Cubot": f"Mozilla/5.0 (Linux; Android 12; CUBOT NOTE 30) {_KIT} Chrome/120.0.0.0 Mobile Safari/537.36",
    "a television": f"Mozilla/5.0 (SMART-TV; LINUX; Tizen 7.0) {_KIT} 94.0.4606.31/7.0 TV Safari/537.36",
    "PlayStation": f"Mozilla/5.0 (PlayStation; PlayStation 5/8.00) {_APPLE} Version/13.0 Safari/605.1.15",
    "Kindle": "Mozilla/5.0 (X11; U; Linux armv7l like Android; en-us) AppleWebKit/531.2+ Version/5.0 Safari/533.2+ Kindle/3.0+",
    "Lynx": "Lynx/2.8.9rel.1 libwww-FM/2.14 SSL-MM/1.4.1 OpenSSL/1.1.1",
    "Links": "Links (2.28; Linux 6.1 x86_64; GNU C 12.2; text)",
    "w3m": "w3m/0.5.3+git20230121",
}
